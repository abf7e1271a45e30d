//! Whether a request accepts a file as gzip: row j.18, by the rules of `Accept-Encoding`.

use http::{HeaderMap, header};

/// Whether gzip is named, or meant by `*`, and not ruled out by `q=0`.
pub(super) fn accept_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut any) = (None, None);
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    for coding in lines.flat_map(|line| line.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let accepted = parts.all(is_wanted);
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            gzip = Some(accepted);
        } else if name == "*" {
            any = Some(accepted);
        }
    }
    gzip.or(any).unwrap_or(false)
}

/// Whether a parameter of a coding leaves it acceptable; a weight that can't be read does not.
fn is_wanted(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    !name.trim().eq_ignore_ascii_case("q") || value.trim().parse().is_ok_and(|weight: f32| weight > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(lines: &[&str]) -> bool {
        let line = |text: &&str| (header::ACCEPT_ENCODING, text.parse().unwrap());
        accept_gzip(&lines.iter().map(line).collect())
    }

    #[test]
    fn gzip_is_accepted_by_name_or_by_star_unless_its_weight_is_0() {
        for line in ["gzip", "GZIP", "br, gzip", "x-gzip", "*", "gzip;q=0.5", "gzip ; Q=1", "*;q=0, gzip"] {
            assert!(accepted(&[line]), "{line}");
        }
        for line in
            ["", "br", "identity", "gzip;q=0", "gzip;q=0, identity", "gzip;q=0.000", "*;q=0", "gzip;q=0, *"]
        {
            assert!(!accepted(&[line]), "{line}");
        }
        assert!(!accepted(&[]) && !accepted(&["gzip;q=soon"]));
        assert!(accepted(&["br", "gzip"]), "several lines are one list");
    }
}
