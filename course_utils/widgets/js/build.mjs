// Build ../panels.js, the one file that browsers load: `make widgets`.
import { readFileSync } from "node:fs";
import { build } from "esbuild";

const licence = readFileSync("node_modules/d3-array/LICENSE", "utf8").trim();
const banner = `/*! Built from course_utils/widgets/js by \`make widgets\`; edit there, not here.
Contains parts of d3-array, under this licence:
${licence} */`;

await build({
  entryPoints: ["index.js"],
  outfile: process.argv[2] ?? "../panels.js",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  banner: { js: banner },
  legalComments: "none",
});
