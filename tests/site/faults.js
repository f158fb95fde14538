// What is wrong with a page as it is laid out, in words.
() => {
    const page = document.scrollingElement, faults = [];
    if (page.scrollWidth > page.clientWidth)
        faults.push(`scrolls sideways: ${page.scrollWidth} > ${page.clientWidth}`);
    for (const error of document.querySelectorAll("mjx-merror, [data-mjx-error]"))
        faults.push("formula: " + (error.title || error.dataset.mjxError || error.textContent));
    for (const formula of document.querySelectorAll(".math"))
        if (!formula.querySelector("mjx-container")) faults.push("unset: " + formula.textContent);
    for (const picture of document.images) {
        if (!picture.naturalWidth) faults.push("no picture: " + picture.src);
        if (!picture.alt.trim()) faults.push("no words: " + picture.src);
        const shape = picture.clientWidth * picture.naturalHeight;
        if (Math.abs(shape / (picture.clientHeight * picture.naturalWidth) - 1) > 0.02)
            faults.push("out of shape: " + picture.src);
    }
    const text = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (text.nextNode()) {
        const inside = text.currentNode.parentElement;
        if (inside.closest("pre, code, script, style, mjx-container, .sig")) continue;
        const left = text.currentNode.data.match(/\$[^$]+\$|\\\(|\\\[|\\begin|\]\(|\*\*/);
        if (left) faults.push("markup left: " + text.currentNode.data.trim().slice(0, 80));
    }
    return faults;
}
