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

let theme = rememberedTheme() ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
showTheme();
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
document.querySelectorAll<HTMLButtonElement>('#rows th button').forEach((button, column) => {
  button.addEventListener('click', () => sortBy(button, column));
});
showRows();

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
  const [scenario = '', transport = '', search = ''] = filters.map(({ value }) => value.toLowerCase());
  let shown = 0;
  for (const row of rows) {
    const isShown =
      (scenario === '' || row.dataset['scenario'] === scenario) &&
      (transport === '' || row.dataset['transport']?.toLowerCase() === transport) &&
      (row.textContent ?? '').toLowerCase().includes(search);
    row.hidden = !isShown;
    if (isShown) shown++;
  }
  const count = document.getElementById('count');
  if (count) count.textContent = `${shown} of ${rows.length} rows`;
}

function sortBy(button: HTMLButtonElement, column: number): void {
  const head = button.closest('th') as HTMLTableCellElement;
  const isAscending = head.getAttribute('aria-sort') !== 'ascending';
  for (const other of document.querySelectorAll('#rows th')) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', isAscending ? 'ascending' : 'descending');
  const key = (row: HTMLTableRowElement) => row.cells[column]?.dataset['value'] ?? row.cells[column]?.textContent ?? '';
  const compare = (a: string, b: string) =>
    a === '' || b === '' ? Number(a === '') - Number(b === '') : Number(a) - Number(b) || a.localeCompare(b);
  rows.sort((a, b) => (isAscending ? 1 : -1) * compare(key(a), key(b)));
  document.querySelector('#rows tbody')?.append(...rows);
}

export {};
