// From a key on interact's slider to the frame after its next picture is there.
() => {
    window.interactive = [];
    let pressed = 0;
    document.addEventListener("keydown", () => { pressed = performance.now(); }, true);
    const area = document.querySelectorAll(".jp-Cell")[2];
    new MutationObserver(records => {
        for (const { addedNodes } of records) for (const node of addedNodes) {
            const image = node.querySelector?.("img");
            if (image) image.decode().then(() => requestAnimationFrame(() => setTimeout(() =>
                window.interactive.push(performance.now() - pressed))));
        }
    }).observe(area, { subtree: true, childList: true });
}
