//! What tools print: a table for people, a JSON object a line for machines.

use std::fmt::Write as _;
use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::telemetry::Printable;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// A JSON object a line, for machines.
    Json,
}

/// A row of a listing. Its JSON object has the fields that it serializes.
pub trait Row: Serialize {
    /// The table's heading.
    const COLUMNS: &'static [&'static str];

    /// A text for each column.
    fn cells(&self) -> Vec<String>;
}

/// Prints the rows. Nothing at all for an empty listing of objects, the heading alone for an empty table.
///
/// # Errors
/// Nobody reads any more, or the disk is full.
pub fn print<T: Row>(to: &mut impl Write, rows: &[T], output: Output) -> io::Result<()> {
    match output {
        Output::Json => rows.iter().try_for_each(|row| print_object(to, row)),
        Output::Text => {
            let mut table = Table::new();
            table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
            table.set_header(T::COLUMNS.iter().map(|column| column.to_uppercase()));
            table.add_rows(
                rows.iter().map(|row| row.cells().into_iter().map(|cell| Printable(&cell).to_string())),
            );
            table.lines().try_for_each(|line| writeln!(to, "{}", line.trim()))
        }
    }
}

/// What has been printed. A reader that has seen enough (`| head`) is no error.
///
/// # Errors
/// Any other.
pub fn printed(done: anyhow::Result<()>) -> anyhow::Result<()> {
    let is_closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    match done {
        Err(error) if error.downcast_ref().is_some_and(is_closed) => Ok(()),
        done => done,
    }
}

/// Prints one object in a line of its own.
///
/// # Errors
/// Nobody reads any more, or the disk is full.
pub fn print_object(to: &mut impl Write, object: &impl Serialize) -> io::Result<()> {
    writeln!(to, "{}", escaped(serde_json::to_string(object)?))
}

/// JSON escapes what is below a space; a terminal also obeys DEL and the C1 controls.
fn escaped(json: String) -> String {
    if !json.contains(char::is_control) {
        return json;
    }
    json.chars().fold(String::new(), |mut text, c| {
        if c.is_control() {
            let _ = write!(text, "\\u{:04x}", u32::from(c)); // into memory: it does not fail
        } else {
            text.push(c);
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Pair(&'static str, u32);

    impl Row for Pair {
        const COLUMNS: &'static [&'static str] = &["name", "count"];

        fn cells(&self) -> Vec<String> {
            vec![self.0.to_owned(), self.1.to_string()]
        }
    }

    fn printed(rows: &[Pair], output: Output) -> String {
        let mut to = Vec::new();
        print(&mut to, rows, output).expect("printed");
        String::from_utf8(to).expect("text")
    }

    /// Catches: what others wrote, obeyed by the terminal of who looks at it.
    #[test]
    fn no_terminal_obeys_what_is_printed() {
        #[derive(Serialize)]
        struct Hostile(&'static str);
        impl Row for Hostile {
            const COLUMNS: &'static [&'static str] = &["text"];

            fn cells(&self) -> Vec<String> {
                vec![self.0.to_owned()]
            }
        }
        for output in [Output::Text, Output::Json] {
            let mut to = Vec::new();
            print(&mut to, &[Hostile("\u{1b}[2J\u{9b}2J\u{7f}\r\n")], output).expect("printed");
            let printed = String::from_utf8(to).expect("text");
            assert!(printed.lines().all(|line| !line.contains(char::is_control)), "{printed:?}");
            assert!(printed.lines().last().is_some_and(|line| line.contains("2J")), "{printed:?}");
        }
    }

    #[test]
    fn a_table_has_a_heading_and_lines_of_objects_have_none() {
        let rows = [Pair("a", 1), Pair("long name", 20)];
        assert_eq!(printed(&rows, Output::Text), "NAME       COUNT\na          1\nlong name  20\n");
        assert_eq!(printed(&rows, Output::Json), "[\"a\",1]\n[\"long name\",20]\n");
        assert_eq!(printed(&[], Output::Text), "NAME  COUNT\n");
        assert_eq!(printed(&[], Output::Json), "");
    }
}
