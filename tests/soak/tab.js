// `soak` moves the inputs of a panel at random, a movement a frame, and resets it.
var seed = 1;
var chance = count => (seed = seed * 48271 % 2147483647) % count;
var kinds = { checkbox: i => { i.checked = !i.checked; }, range: i => {
    i.value = +i.min + (i.max - i.min) * chance(101) / 100; } };
window.soak = async (movements, moved) => {
    const inputs = [...document.querySelectorAll(".won-control :is(input, select)")];
    for (let k = 0; k < movements; k++) {
        const input = inputs[chance(inputs.length)];
        if (input.options) input.selectedIndex = chance(input.options.length);
        else kinds[input.type](input);
        for (const kind of ["input", "change"]) input.dispatchEvent(new Event(kind));
        await new Promise(requestAnimationFrame);
        moved?.(k);
    }
    [...document.querySelectorAll("button")].find(b => b.textContent === "Reset").click();
    await new Promise(done => setTimeout(done, 1000));
};
