import { contract, stream } from '../../src/index.js'; // from 'pillion'

export interface LogLine {
  level: 'info' | 'error';
  text: string;
}

export const logs = contract('logs', {
  tail: stream<{ level: LogLine['level'] }, LogLine>(), // one request, as many lines as are read
});
