//! The events: numbered lines on many keys, drawn from the seed. What becomes of each is written in it.

use std::io::{BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The data of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Which run it belongs to: effects of several runs share a table.
    pub(crate) run: String,
    pub(crate) number: u64,
    /// Without one the event is not ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// Whether its handler never succeeds.
    pub(crate) hopeless: bool,
    filler: String,
}

/// What is known of an event before it is published; its number is its place in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) key: Option<u32>,
    pub(crate) hopeless: bool,
}

/// The text of a key.
pub(crate) fn key(number: u32) -> String {
    format!("key-{number}")
}

/// Draws the events: one of a hundred is hopeless, one of fifty has no key.
pub(crate) fn draw(seed: u64, count: usize, keys: u32) -> Vec<Expected> {
    let mut random = fastrand::Rng::with_seed(seed ^ 0x6576_656e_7473);
    (0..count)
        .map(|_| Expected {
            key: (random.u8(0..50) > 0).then(|| random.u32(0..keys.max(1))),
            hopeless: random.u8(0..100) == 0,
        })
        .collect()
}

/// Writes them to a file, a JSON object a line.
///
/// # Errors
/// The folder is full or read-only.
pub(crate) fn write(path: &Path, run: &str, events: &[Expected]) -> anyhow::Result<()> {
    let mut writer = BufWriter::new(std::fs::File::create_new(path)?);
    let mut random = fastrand::Rng::with_seed(1);
    for (number, event) in events.iter().enumerate() {
        let filler = (0..random.usize(0..80)).map(|_| random.alphanumeric()).collect();
        let line = Line {
            run: run.to_owned(),
            number: number as u64,
            key: event.key.map(key),
            hopeless: event.hopeless,
            filler,
        };
        serde_json::to_writer(&mut writer, &line)?;
        writer.write_all(b"\n")?;
    }
    Ok(writer.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_and_the_lines_say_so() {
        let events = draw(1, 20_000, 200);
        assert_eq!(events, draw(1, 20_000, 200));
        assert_ne!(events, draw(2, 20_000, 200));
        let hopeless = events.iter().filter(|event| event.hopeless).count();
        assert!((120..300).contains(&hopeless), "{hopeless}");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events.jsonl");
        write(&path, "run", &events).expect("written");
        let text = std::fs::read_to_string(path).expect("read");
        assert_eq!(text.lines().count(), events.len());
        for (number, (line, event)) in text.lines().zip(&events).enumerate() {
            let line: Line = serde_json::from_str(line).expect("JSON");
            assert_eq!(line.number, number as u64);
            assert_eq!((line.key, line.hopeless), (event.key.map(key), event.hopeless));
        }
    }
}
