//! Durations as people write them: `300ms`, `1s`, `10m`, `2h`, `90d`.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// Reads a duration; a day has 24 hours. A negative one is refused.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let why = || format!("`{text}` is not a duration such as 300ms, 1s, 10m, 2h or 90d");
    let span: Span = text.trim().parse().map_err(|_| why())?;
    let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| why())?;
    Duration::try_from(signed).map_err(|_| why())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_nonsense_is_refused() {
        assert_eq!(parse("300ms").unwrap(), Duration::from_millis(300));
        assert_eq!(parse("2h").unwrap(), Duration::from_secs(7_200));
        assert_eq!(parse("1m 30s").unwrap(), Duration::from_secs(90));
        assert_eq!(parse("90d").unwrap(), Duration::from_secs(90 * 86_400));
        for wrong in ["", "5", "-1s", "soon"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
