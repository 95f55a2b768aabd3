/** Everything in a result is somebody else's text. */
export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;').replaceAll("'", '&#39;');
}

/** Text in a cell of a Markdown table: it shall neither end the cell nor become a link, an image, code or markup. */
export function escapeCell(text: string): string {
  return text
    .replaceAll('\\', '\\\\')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll(/[|[\]`*]/g, (letter) => `\\${letter}`)
    .replaceAll(/[\r\n]+/g, ' ');
}

/** For a script element that holds data: the parser must not see a tag in it. */
export function escapeJson(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c');
}
