// What moves on a page: its panels, pictures that open, and the way to where notebooks run.

// A panel takes the place of its picture once it comes in sight. Where its file cannot be loaded (a
// page that was opened from a disk), the picture stays.
async function show(holder) {
    const [{ mount, host }, page] = await Promise.all([
        import("./panels.js"),
        fetch(holder.dataset.panel).then(answer => answer.json()),
    ]);
    const still = holder.previousElementSibling?.querySelector("figure");
    if (still) still.hidden = true;
    if (page.states) host(holder, page);
    else mount(holder, page, {}, { address: "address" in holder.dataset });
    holder.classList.add("moves");
}

const sight = new IntersectionObserver(entries => {
    for (const { target } of entries.filter(entry => entry.isIntersecting)) {
        sight.unobserve(target);
        show(target).catch(error => console.warn(error.message));
    }
}, { rootMargin: "400px" });
document.querySelectorAll("div.panel").forEach(holder => sight.observe(holder));

// A picture opens at a touch, at its full size: a phone shows it small.
const sheet = document.createElement("dialog");
sheet.className = "picture";
sheet.setAttribute("aria-label", "The picture at its full size");
sheet.addEventListener("click", () => sheet.close());
document.body.append(sheet);
for (const picture of document.querySelectorAll(".bd-article img")) {
    const link = document.createElement("a");
    link.href = picture.src;
    link.addEventListener("click", event => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        const close = document.createElement("button");
        close.textContent = "Close";
        sheet.replaceChildren(close, picture.cloneNode());
        sheet.showModal();
    });
    picture.replaceWith(link);
    link.append(picture);
}

// Python comes from another server when a notebook starts; where that is out of reach, say so.
const SERVER = "https://cdn.jsdelivr.net/pyodide/";
for (const link of document.querySelectorAll("a.runs:not([data-offline])")) {
    link.addEventListener("click", async event => {
        event.preventDefault();
        try {
            await fetch(SERVER, { mode: "no-cors", cache: "no-store", signal: AbortSignal.timeout(5000) });
            location.assign(link.href);
        } catch {
            const words = document.createElement("span");
            words.setAttribute("role", "status");
            words.textContent = " (It cannot start here: Python comes from cdn.jsdelivr.net, which "
                + "cannot be reached. On your own computer, make lab needs no network once it is set up.)";
            link.replaceWith(link.textContent, words);
        }
    });
}
