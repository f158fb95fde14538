// A step of the panel's slider and of a bare one that comes back, in turns; then as many as can be.
async ({ name, rounds, seconds }) => {
    const root = document.querySelector(".won-panel");
    root.querySelector(".won-question button:last-child")?.click(); // show what the question hides
    const { picture } = root.querySelector(".won-picture");
    const input = name ? root.querySelector(`[data-control=${name}] input`)
        : root.querySelector(".won-control label > input[type=range]");
    const [low, high, step] = [input.min, input.max, input.step].map(Number);
    const steps = Math.round((high - low) / step);
    let k = 0;
    const move = () => {
        k += 1;
        input.value = low + step * (Math.floor(steps / 4) + k % Math.ceil(steps / 2));
        input.dispatchEvent(new Event("input"));
    };
    const task = () => new Promise(done => setTimeout(done));
    const frame = () => new Promise(done => requestAnimationFrame(done)).then(task);
    const pictured = () => new Promise(done => { picture.painted = done; }).then(task);
    const bare = document.querySelector(".bare input");
    const trip = () => new Promise(done => {
        window.came = done;
        bare.value = ++k % 1000;
        bare.dispatchEvent(new Event("input"));
    });
    const rest = () => new Promise(done => setTimeout(done, 60));
    const taken = { panel: [], bare: [] };
    for (let i = 0; i < rounds; i++) {
        let start = performance.now();
        await trip().then(frame);
        taken.bare.push(performance.now() - start);
        await rest();
        start = performance.now();
        const shown = pictured();
        move();
        await shown;
        taken.panel.push(performance.now() - start);
        await rest();
    }
    const rates = { panel: 0, bare: 0 };
    let start = performance.now();
    picture.painted = () => { rates.panel += 1 / seconds; };
    while (performance.now() < start + 1000 * seconds) { move(); await frame(); }
    picture.painted = null;
    await rest();
    start = performance.now();
    while (performance.now() < start + 1000 * seconds) { await trip(); rates.bare += 1 / seconds; }
    return { taken, rates };
}
