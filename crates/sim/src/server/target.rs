//! What a request is about: its path and its query, decoded.

use std::borrow::Cow;

use http::Uri;
use percent_encoding::percent_decode_str;

/// The path, each of its segments decoded; a slash that is encoded stays so, as it does not part segments.
pub(super) fn path(uri: &Uri) -> Cow<'_, str> {
    let path = uri.path();
    if !path.contains('%') {
        return path.into();
    }
    let kept = path.replace("%2F", "%252F").replace("%2f", "%252f");
    decode(&kept).into()
}

/// The names and values of the query; a name alone has an empty value. A plus stands for itself, as in a time's offset.
pub(super) fn query(uri: &Uri) -> impl Iterator<Item = (String, String)> {
    let pairs = uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_a_query_are_decoded_once() {
        let uri: Uri =
            "/jobs/%34%3334731/%2561/a%2Fb?%66ragment=%30&at=2026-06-18T12:00:00+02:00&records&&x=%253D"
                .parse()
                .unwrap();
        assert_eq!(path(&uri), "/jobs/4334731/%61/a%2Fb");
        let pairs: Vec<(String, String)> = query(&uri).collect();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
        let at = ("at", "2026-06-18T12:00:00+02:00");
        assert_eq!(pairs, [("fragment", "0"), at, ("records", ""), ("x", "%3D")]);
    }
}
