// Of the queries in a JSON array on standard input, those that the grammar of Grafana's editor refuses.
import { readFileSync } from "node:fs";
import { parser } from "@grafana/lezer-logql";

function isRefused(query) {
  let found = false;
  parser.parse(query).iterate({
    enter(node) {
      found ||= node.type.isError;
    },
  });
  return found;
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).filter(isRefused)));
