/**
 * Light or dark, as the host is: what stands behind the element decides, else what the reader
 * prefers. Colours by meaning come with the scene: {light: {meaning: colour}, dark: {…}}.
 */

/** Return {dark, paper, ink, soft, ghost, colours, ramp} for an element. */
export function theme(element, colours) {
  const paper = background(element);
  const dark = paper ? luminance(paper) < 0.4 : matchMedia("(prefers-color-scheme: dark)").matches;
  const shown = dark ? colours.dark : colours.light;
  const ink = dark ? "#f0f0f0" : "#111111";
  const back = paper ?? (dark ? [17, 17, 17] : [255, 255, 255]);
  return {
    dark,
    paper: `rgb(${back.join(" ")})`,
    ink,
    soft: dark ? "#b8b8b8" : "#5a5a5a",
    ghost: dark ? "#9a9a9a" : "#8a8a8a",
    colours: shown,
    ramp: (meaning) => ramp(back, rgb(shown[meaning]), dark ? [255, 255, 255] : [0, 10, 20]),
  };
}

/** Call `changed` whenever the host may have changed its theme; returns a function that stops. */
export function watchTheme(changed) {
  const media = matchMedia("(prefers-color-scheme: dark)");
  const observer = new MutationObserver(changed);
  const watched = { attributes: true, attributeFilter: ["class", "style", "data-theme", "data-mode", "data-jp-theme-light"] };
  observer.observe(document.documentElement, watched);
  if (document.body) observer.observe(document.body, watched);
  media.addEventListener("change", changed);
  return () => {
    observer.disconnect();
    media.removeEventListener("change", changed);
  };
}

/** The colour behind an element, [r, g, b], or null where all is transparent. */
function background(element) {
  for (let node = element; node; node = node.parentElement ?? node.getRootNode().host) {
    const [r, g, b, alpha = 1] = getComputedStyle(node).backgroundColor.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0, 0];
    if (alpha > 0.5) return [r, g, b];
  }
  return null;
}

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

function luminance(colour) {
  const [r, g, b] = colour.map((v) => {
    const share = v / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** 256 colours from paper through the meaning's to ink, as 32-bit words of an ImageData. */
function ramp(paper, middle, ink) {
  const mix = (a, b, share) => a.map((v, i) => v + share * (b[i] - v));
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const share = i / 255;
    const [r, g, b] = share < 0.6 ? mix(paper, middle, share / 0.6) : mix(middle, ink, (share - 0.6) / 0.4);
    return (255 << 24) | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r);
  });
}
