import { readFileSync } from "node:fs";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const SHIPPED = ["lightweight-charts", "@fontsource-variable/ibm-plex-sans"];

/** Put the licences of what is shipped beside it, as they ask for. */
function licences(): Plugin {
  const read = (name: string): string => `${name}\n\n${readFileSync(`node_modules/${name}/LICENSE`, "utf8").trim()}\n`;
  return {
    name: "licences",
    generateBundle(): void {
      const notice = readFileSync("notice.txt", "utf8");
      this.emitFile({
        type: "asset",
        fileName: "assets/licences.txt",
        source: [notice, ...SHIPPED.map(read)].join("\n\n"),
      });
    },
  };
}

const engine = process.env["TAPELINE_URL"] ?? "http://127.0.0.1:8787";

export default defineConfig({
  plugins: [licences()],
  build: {
    outDir: "../src/tapeline/web/dist",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // a strict CSP refuses data: URLs
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { host: "127.0.0.1", proxy: { "/v1": { target: engine, ws: true } } },
  test: { include: ["test/**/*.test.ts"] },
});
