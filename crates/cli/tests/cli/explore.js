// What the test of the page does in it, as somebody with a keyboard would.
const key = (node, key) => node.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const node = id => document.querySelector(`[data-card="${id}"]`);
const text = id => document.getElementById(id).textContent;
const rows = () => [...document.querySelectorAll("#rows tr")].map(row => row.innerText.replace(/\s+/g, " "));
const found = { summary: text("summary"), nodes: document.querySelectorAll(".node").length, rows: rows() };
// One stop for the tabulator in the graph; every circle has a name.
found.stops = document.querySelectorAll(".node[tabindex='0']").length;
found.names = [...document.querySelectorAll(".node")].map(n => n.getAttribute("aria-label"));
node("a").focus(); key(node("a"), "Enter");
found.panel = text("panel"); found.said = text("said");
key(node("a"), "ArrowUp");
found.up = document.activeElement.getAttribute("data-card");
key(document.activeElement, "ArrowDown");
found.down = document.activeElement.getAttribute("data-card");
// From a button in the ranking the focus stays on it, from one in the panel it goes to the panel's heading.
const press = button => { button.focus(); button.click(); };
press(document.querySelector("[data-row=b]")); found.row = document.activeElement.getAttribute("data-row");
press(document.querySelector("#panel button")); found.heading = document.activeElement.textContent;
found.contested = [...document.querySelectorAll(".node.contested")].map(n => n.getAttribute("data-card")).sort();
found.heavy = document.querySelectorAll(".edge.contested").length;
const box = document.getElementById("conflicts"); box.click();
found.only = document.querySelectorAll(".node").length; box.click();
const find = document.getElementById("find"); find.value = "LIVING BY B"; find.dispatchEvent(new Event("input"));
found.searched = [...document.querySelectorAll(".node")].map(n => n.getAttribute("data-card"));
find.value = ""; find.dispatchEvent(new Event("input"));
const context = document.getElementById("context");
found.contexts = [...context.options].map(o => o.textContent);
context.value = "1"; context.dispatchEvent(new Event("change"));
found.calm = [...document.querySelectorAll(".node")].map(n => n.getAttribute("data-card")).sort();
document.querySelector("[name=method][value=compat]").click();
found.compat = rows();
found.title = document.title; found.scripts = document.scripts.length; found.images = document.images.length;
// Whatever takes input has a name for who does not see it.
found.nameless = [...document.querySelectorAll("select, input")].filter(i => !i.labels.length).length;
found.live = document.getElementById("said").getAttribute("aria-live");
return found;
