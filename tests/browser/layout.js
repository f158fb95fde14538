// How wide the page is, its smallest type, words outside of the picture or on one another, targets on
// show that are small, and where controls and numbers end.
() => ({
    over: document.documentElement.scrollWidth - innerWidth,
    type: Math.min(...[...document.querySelectorAll("text, label, td, p")].map(e =>
        parseFloat(getComputedStyle(e).fontSize))),
    outside: [...document.querySelectorAll(".won-type text")].filter(e => {
        const [b, p] = [e, e.closest(".won-picture")].map(each => each.getBoundingClientRect());
        return b.width && (b.left < p.left - 1 || b.right > p.right + 1); }).map(e => e.textContent),
    crossed: [...document.querySelectorAll(".won-type text")].filter((e, i, all) => {
        const [b, ...before] = [e, ...all.slice(0, i)].map(each => each.getBoundingClientRect());
        return b.width && before.some(o => o.width && o.left < b.right - 1 && b.left < o.right - 1
            && o.top < b.bottom - 6 && b.top < o.bottom - 6); }).map(e => e.textContent),
    small: [...document.querySelectorAll("input, select, button, summary, .won-target")]
        .filter(e => e.getClientRects().length).map(e => {
            const b = e.getBoundingClientRect();
            const line = e.tagName === "line" ? 26 : 0;
            return [e.outerHTML, Math.max(b.width, line), Math.max(b.height, line)]; })
        .filter(([, w, h]) => w + h && Math.min(w, h) < 19.9),
    end: document.querySelector(".won-buttons").getBoundingClientRect().bottom,
    shown: document.querySelector(".won-readout").getBoundingClientRect().bottom,
})
