import { get } from 'node:http';

/** Fetches `/metrics` as Prometheus does, and returns the value of each series by its name and labels. */
export async function scrape(port: number): Promise<Map<string, number>> {
  const text = await fetchText(`http://127.0.0.1:${port}/metrics`);
  const series = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const gap = line.lastIndexOf(' ');
    series.set(line.slice(0, gap), Number(line.slice(gap + 1)));
  }
  return series;
}

function fetchText(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(url, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
      response.on('error', reject);
    });
    request.on('error', reject);
  });
}
