/** The panel's style. The colours are set on the panel as --won-…, as the theme is. */
export const STYLE = `
.won-panel { container-type: inline-size; color: var(--won-ink); font: 14px/1.4 system-ui, sans-serif;
  max-width: 1340px; direction: ltr; text-align: start; print-color-adjust: exact; }
@media print { .won-panel { background: var(--won-paper); } }
.won-panel *, .won-panel *::before { box-sizing: border-box; }
.won-grid { display: grid; gap: 8px 22px; grid-template-columns: minmax(0, 1fr); }
.won-shown { position: relative; min-width: 0; background: var(--won-paper); }
.won-sticks { position: sticky; top: 0; z-index: 1; }
.won-steer { display: grid; gap: 4px 18px; grid-template-columns: repeat(auto-fit, minmax(min(250px, 100%), 1fr));
  align-content: start; align-items: end; }
@container (min-width: 1080px) {
  .won-grid { grid-template-columns: 270px minmax(0, 1fr); }
  .won-steer { grid-template-columns: minmax(0, 1fr); grid-column: 1; grid-row: 1; }
  .won-shown { grid-column: 2; grid-row: 1; }
  .won-caption { grid-column: 1 / -1; }
}
.won-picture { position: relative; width: 100%; contain: layout style; }
.won-picture canvas, .won-picture svg { position: absolute; inset: 0 auto auto 0; }
.won-picture text { font: 12px system-ui, sans-serif; white-space: pre; }
.won-picture text[font-size="13"] { font-size: 13px; font-weight: 600; }
.won-beside, .won-reading { paint-order: stroke; stroke: var(--won-paper); stroke-width: 4px; stroke-linejoin: round;
  font-variant-numeric: tabular-nums; pointer-events: none; }
.won-cursor { pointer-events: none; stroke-width: 1; opacity: 0.7; }
.won-reading-line { min-height: 20px; margin: 0; color: var(--won-soft); font-variant-numeric: tabular-nums; contain: layout style; }
.won-handle { outline: none; }
line.won-target { stroke: transparent; stroke-width: 26px; }
circle.won-target, rect.won-target { fill: transparent; }
.won-under { stroke: var(--won-paper); stroke-width: 5px; opacity: 0.8; }
.won-mark { stroke-width: 2.5px; fill: none; }
.won-band .won-mark { stroke-dasharray: 3 3; stroke-width: 1.2px; }
.won-grip { stroke-width: 2.5px; }
.won-handle:hover .won-grip { stroke-width: 4px; }
.won-handle:focus-visible .won-grip { stroke-width: 4px; outline: 3px solid var(--won-focus); outline-offset: 3px; border-radius: 50%; }
.won-control { min-width: 0; }
.won-control label { display: grid; grid-template-columns: 1fr auto; column-gap: 8px; }
.won-control label > input, .won-control label > select { grid-column: 1 / -1; }
.won-control.won-plays { display: grid; grid-template-columns: 1fr 32px; gap: 6px; align-items: end; }
.won-value { font-variant-numeric: tabular-nums; }
.won-switch.won-switch { display: flex; align-items: center; gap: 8px; min-height: 28px; }
.won-panel input[type=checkbox] { width: 20px; height: 20px; margin: 2px; accent-color: var(--won-accent); }
.won-panel input[type=range] { -webkit-appearance: none; appearance: none; width: 100%; height: 24px; margin: 0;
  background: transparent; cursor: pointer; touch-action: pan-y; forced-color-adjust: none; }
.won-panel input[type=range]::-webkit-slider-runnable-track { height: 4px; border-radius: 2px; background: var(--won-soft); }
.won-panel input[type=range]::-moz-range-track { height: 4px; border-radius: 2px; background: var(--won-soft); }
.won-panel input[type=range]::-webkit-slider-thumb { -webkit-appearance: none; width: 20px; height: 20px; margin-top: -8px;
  border-radius: 50%; background: var(--won-paper); border: 4px solid var(--won-accent); }
.won-panel input[type=range]::-moz-range-thumb { width: 12px; height: 12px; border-radius: 50%;
  background: var(--won-paper); border: 4px solid var(--won-accent); }
.won-panel :focus-visible { outline: 3px solid var(--won-focus); outline-offset: 2px; }
.won-panel .won-handle:focus-visible { outline: none; }
.won-panel input[type=range]:focus-visible { outline-offset: -3px; }
.won-panel button, .won-panel select { font: inherit; color: var(--won-ink); background: var(--won-paper);
  border: 1px solid var(--won-soft); border-radius: 4px; min-height: 28px; padding: 2px 10px; cursor: pointer; max-width: 100%; }
.won-panel select { width: 100%; }
.won-panel button[aria-disabled=true] { opacity: 0.5; cursor: default; }
.won-panel button:hover { border-color: var(--won-ink); }
.won-panel button[aria-pressed=true] { background: var(--won-ink); color: var(--won-paper); }
.won-play { padding: 2px 0 !important; font-size: 12px !important; width: 32px; }
.won-panel fieldset { border: 0; margin: 0; padding: 0; min-width: 0; }
.won-panel legend { padding: 0; }
.won-bars { grid-column: 1 / -1; }
.won-row { display: flex; gap: 4px; }
.won-bar { flex: 1 1 0; min-width: 24px; display: flex; flex-direction: column; align-items: center; font-size: 12px; }
.won-panel .won-bar input[type=range] { writing-mode: vertical-lr; direction: rtl; width: 24px; height: 84px; touch-action: pan-x; }
.won-panel .won-bar input[type=range]::-webkit-slider-runnable-track { width: 4px; height: 100%; }
.won-panel .won-bar input[type=range]::-webkit-slider-thumb { margin: 0 0 0 -8px; }
.won-buttons { display: flex; flex-wrap: wrap; gap: 6px; align-items: end; grid-column: 1 / -1; }
.won-presets { flex: 1 1 150px; }
.won-readout { display: flex; flex-wrap: wrap; gap: 2px 24px; align-items: baseline; padding: 2px 0 4px; min-height: 30px; }
.won-headline { font-size: 18px; font-weight: 600; font-variant-numeric: tabular-nums; flex: 1 1 260px; }
.won-numbers { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 0; color: inherit; background: none; }
.won-panel .won-numbers td, .won-panel .won-numbers th { padding: 0 0 0 14px; border: 0; text-align: end; font-weight: 400;
  font-size: 14px; background: none; color: inherit; }
.won-panel .won-numbers th { padding: 0; text-align: start; }
.won-before { color: var(--won-soft); }
.won-details summary, .won-folded summary { cursor: pointer; min-height: 24px; }
.won-details ul { margin: 2px 0; padding-inline-start: 20px; }
.won-caption { color: var(--won-soft); margin: 4px 0 0; max-width: 90ch; }
.won-panel .won-question { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; border-inline-start: 4px solid var(--won-accent); padding: 4px 12px; margin-block-end: 6px; }
.won-question legend { float: inline-start; width: 100%; font-weight: 600; }
.won-alert { position: absolute; z-index: 2; color: var(--won-alert); background: var(--won-paper); font-weight: 600; margin: 0; }
.won-alert:empty { display: none; }
.won-brush { fill: transparent; cursor: ns-resize; pointer-events: all; }
.won-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (prefers-reduced-motion: no-preference) { .won-grip { transition: stroke-width 0.1s; } }
`;
