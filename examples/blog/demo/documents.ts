/** Real text to publish: the documents that installed packages bring along, cut into articles. */
import { readdir, readFile } from "node:fs/promises";
import { basename, join, relative, sep } from "node:path";

/** One article to be. */
export interface Document {
  readonly slug: string;
  readonly title: string;
  readonly body: string;
}

/** What was found. */
export interface Library {
  /** Files that were read. */
  readonly files: number;
  readonly documents: readonly Document[];
  /** Names of the packages that brought them. */
  readonly packages: readonly string[];
}

const NAMES =
  /^(readme|changelog|changes|history|licen[cs]e|notice|authors|security|contributing|migrat|release)/i;
/** Markdown, plain text, or a bare name such as `LICENSE`. */
const TEXT = /(\.(md|markdown|txt)|^[^.]+)$/i;
/** A few changelogs are larger than all the rest together. */
const MAX_FILE_CHARACTERS = 100_000;
/** Shorter ones are headings with nothing below. */
const MIN_BODY_CHARACTERS = 80;
/** Longer sections become several articles. */
const MAX_BODY_CHARACTERS = 1_200;

/**
 * Reads the documents below a `node_modules` folder.
 *
 * @throws {Error} If there are none: the packages are not installed.
 */
export async function readLibrary(folder: string): Promise<Library> {
  const files = (await find(folder)).sort();
  const documents: Document[] = [];
  const packages = new Set<string>();
  for (const file of files) {
    const name = packageOf(relative(folder, file));
    packages.add(name);
    // PostgreSQL has no U+0000 in its texts.
    const text = (await readFile(file, "utf8")).slice(0, MAX_FILE_CHARACTERS).replaceAll("\0", "");
    const label = `${name} ${basename(file)}`;
    for (const { heading, body } of sectionsOf(text)) {
      documents.push({
        slug: `${relative(folder, file)}#${documents.length}`,
        title: heading === "" ? label : `${label}: ${heading}`,
        body,
      });
    }
  }
  if (documents.length > 0) return { files: files.length, documents, packages: [...packages] };
  throw new Error(`Cannot find any document in "${folder}": run "npm ci"`);
}

async function find(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && !entry.name.startsWith(".")) found.push(...await find(path));
    else if (entry.isFile() && NAMES.test(entry.name) && TEXT.test(entry.name)) found.push(path);
  }
  return found;
}

/** `@scope/name` or `name`, of the innermost package. */
function packageOf(path: string): string {
  const [first = "", second = ""] = path.split(`node_modules${sep}`).at(-1)!.split(sep);
  return first.startsWith("@") ? `${first}/${second}` : first;
}

/** Cuts a text at its Markdown headings, and long sections at blank lines. */
function sectionsOf(text: string): { heading: string; body: string }[] {
  return text.split(/^(?=#{1,4} )/m).flatMap((section) => {
    const heading = /^#+ (.{1,120})/.exec(section)?.[1]?.replace(/\s*#*$/, "") ?? "";
    return passagesOf(section).map((body) => ({ heading, body }));
  });
}

function passagesOf(section: string): string[] {
  const passages: string[] = [];
  let passage = "";
  for (const paragraph of section.split(/\n\s*\n/)) {
    if (passage !== "" && passage.length + paragraph.length > MAX_BODY_CHARACTERS) {
      passages.push(passage);
      passage = "";
    }
    passage += `${paragraph}\n\n`;
  }
  passages.push(passage);
  return passages.map((body) => body.trim()).filter((body) => body.length >= MIN_BODY_CHARACTERS);
}
