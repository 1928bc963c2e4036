// Sorts and filters the list of episodes: the page reads well without it.
const table = document.getElementById("episodes");
if (table) {
  const body = table.tBodies[0];
  const shown = document.getElementById("shown");
  const filter = document.getElementById("filter");
  const rows = Array.from(body.rows);
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const count = () => {
    const kept = rows.filter((row) => !row.hidden).length;
    shown.textContent = `${kept} of ${rows.length} shown`;
  };
  filter.hidden = false;
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !words.every((word) => texts.get(row).includes(word));
    count();
  });
  Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const key = (row) => row.cells[column].textContent;
      const numeric = head.dataset.kind === "number";
      const compare = (one, other) =>
        numeric ? (parseFloat(key(one)) || 0) - (parseFloat(key(other)) || 0) : key(one).localeCompare(key(other));
      rows.sort((one, other) => (falling ? -1 : 1) * compare(one, other));
      body.append(...rows);
    });
  });
  count();
}
