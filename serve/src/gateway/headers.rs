//! Headers that are passed on, and those that are not.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// Of one connection alone (RFC 9110, section 7.6.1), and two older ones that some clients still send.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What would tell a backend who asks. It needs none of it to name a genre; a cookie is that of another program on the
/// same host, since browsers send it to every port.
const PERSONAL: [HeaderName; 7] = [
    header::COOKIE,
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
];

/// The mark of a gateway in `Via` (RFC 9110, section 7.6.3); the same for each, so that it says nothing of where it
/// runs.
const VIA: &str = "1.1 tonearm-web";

/// Takes out of a request what is not for the backend, and signs it. The length goes too: it is written anew, as that
/// of the body that is sent, so that the two never differ.
pub(super) fn clean_request(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    for name in PERSONAL.iter().chain([&header::HOST, &header::CONTENT_LENGTH]) {
        headers.remove(name);
    }
    headers.insert(header::VIA, HeaderValue::from_static(VIA));
}

/// Whether a request was here before: a URL of a backend leads back to the gateway.
pub(super) fn has_come_back(headers: &HeaderMap) -> bool {
    headers.get_all(header::VIA).iter().any(|via| via.as_bytes().windows(VIA.len()).any(|part| part == VIA.as_bytes()))
}

/// Takes out of an answer what is of the backend's connection.
pub(super) fn clean_response(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Those that `Connection` names besides.
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // The length of an answer is no business of a connection, and without it a broken answer looks whole.
        .filter(|name| name != header::CONTENT_LENGTH)
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn what_is_of_one_connection_ends_with_it() {
        let mut request = headers(&[
            ("connection", "keep-alive, X-Secret"),
            ("connection", "close,, x-other , no name"),
            ("keep-alive", "timeout=5"),
            ("x-secret", "1"),
            ("x-other", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("x-forwarded-for", "192.0.2.1"),
            ("cookie", "a=b"),
            ("via", "1.1 a-proxy"),
            ("host", "tonearm.example"),
            ("content-length", "5"),
            ("content-type", "audio/wav"),
            ("authorization", "Bearer k"),
            ("x-api-key", "k"),
            ("x-request-id", "1"),
            ("traceparent", "00-0-0-01"),
            ("tonearm-version", "0123456789ab"),
        ]);
        clean_request(&mut request);
        let kept =
            ["authorization", "content-type", "tonearm-version", "traceparent", "via", "x-api-key", "x-request-id"];
        assert_eq!(names(&request), kept);
        assert!(has_come_back(&request) && !has_come_back(&headers(&[("via", "1.1 a-proxy, 1.0 another")])));
    }

    #[test]
    fn an_answer_keeps_its_length_whatever_connection_says() {
        let mut answer = headers(&[
            ("connection", "content-length, close"),
            ("content-length", "5"),
            ("retry-after", "3"),
            ("transfer-encoding", "chunked"),
        ]);
        clean_response(&mut answer);
        assert_eq!(names(&answer), ["content-length", "retry-after"]);
    }
}
