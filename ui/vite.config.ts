// Builds the pages into the Python package. Each file is also written as .br and .gz, so that serving costs nothing.
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const OUTPUT = "../src/nissa/api/pages";

function compress(directory: string): void {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    if (statSync(path).isDirectory()) {
      compress(path);
      continue;
    }
    const plain = readFileSync(path);
    for (const [suffix, packed] of [[".br", brotliCompressSync(plain)], [".gz", gzipSync(plain, { level: 9 })]] as const) {
      if (packed.length < plain.length) writeFileSync(path + suffix, packed);
    }
  }
}

const compressed: Plugin = { name: "compressed", apply: "build", closeBundle: () => compress(OUTPUT) };

export default defineConfig({
  base: "/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: { outDir: OUTPUT, emptyOutDir: true, target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  plugins: [compressed],
  server: { proxy: { "/api": "http://127.0.0.1:9471" } },
});
