import { contract, event, method } from '../../src/index.js'; // from 'pillion'

export const audit = contract('audit', {
  log: event<{ level: string; text: string }>(), // fire and forget
  verify: method<{ token: string }, { user: string }>(), // request, response
});
