import type { Result, Verdict } from '../result.js';
import { escapeHtml } from './escape.js';
import { environmentEntries, formatNumber, formatRange, unitLabel } from './labels.js';

/** Bars and aims, held against this run. */
export function verdictSection(verdicts: readonly Verdict[]): string {
  const heads = ['what', 'measured', 'single rounds', 'placement', 'bar', 'aim', 'verdict'].map(
    (name, index) => `<th scope="col"${textClass(index)}>${name}</th>`,
  );
  const note =
    '<p class="muted">held: both sides started freely, and each was then held on a CPU of its own; free: the scheduler placed them.</p>';
  const table = `<div class="scroll" tabindex="0" role="region" aria-labelledby="bars-title"><table><caption>Ratios to a baseline of the same run, or values</caption><thead><tr>${heads.join('')}</tr></thead><tbody>${verdicts.map(verdictRow).join('')}</tbody></table></div>`;
  return `<section id="bars" aria-labelledby="bars-title"><h2 id="bars-title">The core’s bars</h2>${verdicts.length > 0 ? note + table : '<p>Not part of this run.</p>'}</section>`;
}

function verdictRow({ what, value, unit, rounds, placement, bar, aim, verdict }: Verdict): string {
  const measured = value === null ? '' : `${formatNumber(value)} ${unitLabel(unit)}`;
  const cells = [measured, formatRange(rounds), placement, bar, aim].map((text, index) => {
    return `<td${textClass(index + 1)}>${escapeHtml(text)}</td>`;
  });
  const isMissed = verdict === 'missed' ? ' status' : '';
  return `<tr><th scope="row">${escapeHtml(what)}</th>${cells.join('')}<td class="text${isMissed}">${escapeHtml(verdict)}</td></tr>`;
}

function textClass(index: number): string {
  return [0, 3, 6].includes(index) ? ' class="text"' : '';
}

export function environmentSection(environment: Result['environment']): string {
  const entries = environmentEntries(environment).map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`);
  return `<section id="environment" aria-labelledby="environment-title"><h2 id="environment-title">Environment</h2><dl>${entries.join('')}</dl></section>`;
}
