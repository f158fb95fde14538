// A click on a column's head sorts the table by it, and a second click the other way round.
// A cell's number is the last one in it: "rises to λ = −3.3 by 98%" sorts by 98.
const value = (row, column) => row.cells[column].textContent.trim();
const number = (words) => parseFloat(words.replaceAll("−", "-").match(/-?[\d.]+(?=\D*$)/)?.[0]);

for (const table of document.querySelectorAll(".bd-article table")) {
    const [body] = table.tBodies;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
        const button = document.createElement("button");
        button.className = "sorts";
        button.append(...head.childNodes);
        head.append(button);
        button.addEventListener("click", () => {
            const up = head.ariaSort !== "ascending";
            for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
            head.ariaSort = up ? "ascending" : "descending";
            const rows = [...body.rows].map((row) => [row, value(row, column), number(value(row, column))]);
            const numeric = rows.some(([, , n]) => !Number.isNaN(n)) && column > 0;
            rows.sort(([, a, m], [, b, n]) =>
                numeric ? (Number.isNaN(m) ? -1e9 : m) - (Number.isNaN(n) ? -1e9 : n) : a.localeCompare(b));
            body.append(...(up ? rows : rows.reverse()).map(([row]) => row));
        });
    });
}
