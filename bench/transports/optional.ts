import { Unavailable } from '../rig/questions.js';

/** A package that only one transport needs: its absence skips a row and fails nothing. */
export async function optional<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new Unavailable(`needs the package ${name}: npm install ${name}`);
  }
}
