//! What the services say when they end.

use anyhow::Context as _;

/// How many events service-b has handled, each once.
///
/// # Errors
/// It was not told `--output json`, or handled one twice.
pub(crate) fn handled(output: &str) -> anyhow::Result<u64> {
    let summary: serde_json::Value = serde_json::from_str(output).context("service-b's summary")?;
    for count in ["duplicates", "retries", "dead_letters"] {
        anyhow::ensure!(summary[count] == 0, "not what was to be measured: {summary}");
    }
    summary["handled"].as_u64().with_context(|| format!("no number of events in {summary}"))
}

/// How many events service-a has published, each acknowledged.
///
/// # Errors
/// Some were not.
pub(crate) fn acknowledged(output: &str) -> anyhow::Result<u64> {
    let (published, acknowledged) = output
        .trim()
        .strip_prefix("published ")
        .and_then(|text| text.split_once(", acknowledged "))
        .with_context(|| format!("service-a: {output}"))?;
    anyhow::ensure!(published == acknowledged, "service-a: {output}");
    Ok(published.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clean_end_counts() {
        assert_eq!(acknowledged("published 10, acknowledged 10\n").ok(), Some(10));
        assert!(acknowledged("published 10, acknowledged 9\n").is_err());
        let summary =
            |duplicates| format!(r#"{{"handled":3,"duplicates":{duplicates},"retries":0,"dead_letters":0}}"#);
        assert_eq!(handled(&summary(0)).ok(), Some(3));
        assert!(handled(&summary(1)).is_err());
    }
}
