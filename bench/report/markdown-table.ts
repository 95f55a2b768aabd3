/** A table of Markdown; the cells are escaped already. Columns are numbers unless they are named as text. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[], textColumns: readonly number[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = heads.map((_, index) => (textColumns.includes(index) ? '---' : '---:'));
  return [line(heads), line(rule), ...rows.map(line)].join('\n');
}
