/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/**
 * Runs in the reader's browser, inlined into the page as it is compiled: it may import nothing. The charts' options come as data, one for
 * each theme; ECharts is a script of its own.
 */

interface DrawnChart {
  setOption(option: object, replace: boolean): void;
  resize(): void;
}
declare const echarts: { init(element: HTMLElement, theme: undefined, options: object): DrawnChart };

type ThemeName = 'light' | 'dark';

const options = JSON.parse(document.getElementById('options')?.textContent ?? '{}') as Record<string, Record<ThemeName, object>>;
const drawn = new Map<string, DrawnChart>();
const themeButton = document.getElementById('theme') as HTMLButtonElement;
const rows = [...document.querySelectorAll<HTMLTableRowElement>('#rows tbody tr')];
const filters = ['scenario', 'transport', 'search'].map((id) => document.getElementById(id) as HTMLInputElement | HTMLSelectElement);
const failedButton = document.getElementById('failed') as HTMLButtonElement;
const systemTheme = matchMedia('(prefers-color-scheme: dark)');

let theme = rememberedTheme() ?? themeOfSystem();
showTheme();
systemTheme.addEventListener('change', () => {
  theme = rememberedTheme() ?? themeOfSystem();
  showTheme();
});
themeButton.addEventListener('click', () => {
  theme = theme === 'dark' ? 'light' : 'dark';
  try {
    localStorage.setItem('theme', theme);
  } catch {
    // A page from a file may have no storage.
  }
  showTheme();
});
addEventListener('resize', () => {
  for (const chart of drawn.values()) chart.resize();
});
for (const filter of filters) filter.addEventListener('input', showRows);
failedButton.addEventListener('click', () => {
  failedButton.setAttribute('aria-pressed', String(!showsOnlyFailed()));
  showRows();
});
document.querySelectorAll<HTMLButtonElement>('#rows th button').forEach((button, column) => {
  button.addEventListener('click', () => sortBy(button, column));
});
showRows();

function themeOfSystem(): ThemeName {
  return systemTheme.matches ? 'dark' : 'light';
}

function rememberedTheme(): ThemeName | undefined {
  try {
    const name = localStorage.getItem('theme');
    return name === 'dark' || name === 'light' ? name : undefined;
  } catch {
    return undefined;
  }
}

function showTheme(): void {
  document.documentElement.dataset['theme'] = theme;
  themeButton.setAttribute('aria-pressed', String(theme === 'dark'));
  for (const [id, byTheme] of Object.entries(options)) {
    const element = document.getElementById(`chart-${id}`);
    if (!element) continue;
    const chart = drawn.get(id) ?? echarts.init(element, undefined, { renderer: 'svg' });
    drawn.set(id, chart);
    chart.setOption(byTheme[theme], true);
  }
}

function showRows(): void {
  const [scenario = '', transport = '', search = ''] = filters.map(({ value }) => value);
  let shown = 0;
  for (const row of rows) {
    const isShown =
      (scenario === '' || row.dataset['scenario'] === scenario) &&
      (transport === '' || row.dataset['transport'] === transport) &&
      (!showsOnlyFailed() || row.dataset['failed'] !== undefined) &&
      (row.textContent ?? '').toLowerCase().includes(search.toLowerCase());
    row.hidden = !isShown;
    if (isShown) shown++;
  }
  const count = document.getElementById('count');
  if (count) count.textContent = `${shown} of ${rows.length} rows`;
}

function showsOnlyFailed(): boolean {
  return failedButton.getAttribute('aria-pressed') === 'true';
}

function sortBy(button: HTMLButtonElement, column: number): void {
  const head = button.closest('th') as HTMLTableCellElement;
  const isAscending = head.getAttribute('aria-sort') !== 'ascending';
  for (const other of document.querySelectorAll('#rows th')) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', isAscending ? 'ascending' : 'descending');
  rows.sort((a, b) => compare(keyOf(a, column), keyOf(b, column), isAscending ? 1 : -1));
  document.querySelector('#rows tbody')?.append(...rows);
}

/** The reason of a row without figures spans all their columns and is none of them. */
function keyOf(row: HTMLTableRowElement, column: number): string {
  const cell = row.cells[column];
  if (!cell || cell.colSpan > 1) return '';
  return cell.dataset['value'] ?? cell.textContent ?? '';
}

/** What is empty comes last in both directions. */
function compare(a: string, b: string, direction: 1 | -1): number {
  if (a === '' || b === '') return Number(a === '') - Number(b === '');
  const difference = Number(a) - Number(b);
  return direction * (Number.isNaN(difference) ? a.localeCompare(b) : difference);
}

export {};
