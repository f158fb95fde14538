// A click on a column's head sorts the table by it, and a second click the other way round.
// A cell counts as the number with which it begins, and comes first without one.
const value = (row, column) => row.cells[column].textContent.trim();
const number = (words) => parseFloat(words.replace("−", "-"));

for (const table of document.querySelectorAll(".bd-article table")) {
    const [body] = table.tBodies;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
        const button = document.createElement("button");
        button.append(...head.childNodes);
        head.append(button);
        button.addEventListener("click", () => {
            const up = head.ariaSort !== "ascending";
            for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
            head.ariaSort = up ? "ascending" : "descending";
            const rows = [...body.rows].map((row) => [row, value(row, column)]);
            const rank = (words) => (Number.isNaN(number(words)) ? -1e9 : number(words));
            rows.sort(([, a], [, b]) => rank(a) - rank(b) || a.localeCompare(b));
            body.append(...(up ? rows : rows.reverse()).map(([row]) => row));
        });
    });
}
