use super::*;

fn read(line: &str) -> LogEntry {
    read_line(line, None).unwrap_or_else(|reason| panic!("{line}: {reason}"))
}

#[test]
fn lines_as_servers_write_them_are_read() {
    let apache = read(
        r#"192.0.2.7 - frank [10/Oct/2026:13:55:36 -0700] "GET /apache_pb.gif?x=1 HTTP/1.0" 200 2326"#,
    );
    assert_eq!(
        (apache.ts_ms, apache.path.as_str()),
        (1_791_665_736_000, "/apache_pb.gif?x=1")
    );
    assert_eq!(
        (apache.status, apache.bytes_out, apache.user.as_deref()),
        (Some(200), Some(2_326), Some("frank"))
    );
    let nginx = read(
        r#"2001:db8::1 - - [23/Nov/2026:07:43:23 +0000] "POST /v1/charges HTTP/1.1" 502 0 "-" "curl/8.1 \"x\"" 0.250"#,
    );
    assert_eq!(
        (nginx.method.as_str(), nginx.status, nginx.latency_ms),
        ("POST", Some(502), Some(250.0))
    );
    let combined = read(
        r#"h - - [23/Nov/2026:07:43:23 +0000] "GET / HTTP/1.1" 304 - "https://x.example/" "Mozilla/5.0 (X11; rv:1.0)""#,
    );
    assert_eq!(
        (combined.status, combined.bytes_out, combined.latency_ms),
        (Some(304), None, None)
    );
    let proxy = read(
        r#"h - - [23/Nov/2026:07:43:23 +0000] "GET http://api.pay.example/v1/x?y HTTP/1.1" 200 1"#,
    );
    assert_eq!(proxy.path, "/v1/x?y");

    let nginx = read(
        r#"{"time_iso8601":"2026-11-23T07:43:23+00:00","request":"GET /a?b HTTP/1.1","status":"200","body_bytes_sent":"12","request_time":"0.034","remote_user":"-"}"#,
    );
    assert_eq!(
        (nginx.ts_ms, nginx.path.as_str(), nginx.status),
        (1_795_419_803_000, "/a?b", Some(200))
    );
    assert_eq!(
        (nginx.latency_ms, nginx.bytes_out, nginx.user),
        (Some(34.0), Some(12), None)
    );
    let caddy = read(
        r#"{"level":"info","ts":1795419803.25,"msg":"handled request","request":{"method":"GET","host":"x","uri":"/c"},"bytes_read":3,"user_id":"ann","duration":0.0015,"size":7,"status":404}"#,
    );
    assert_eq!(
        (caddy.ts_ms, caddy.latency_ms, caddy.status),
        (1_795_419_803_250, Some(1.5), Some(404))
    );
    assert_eq!(
        (caddy.bytes_in, caddy.bytes_out, caddy.user.as_deref()),
        (Some(3), Some(7), Some("ann"))
    );
    let traefik = read(
        r#"{"StartUTC":"2026-11-23T07:43:23.5Z","RequestMethod":"PUT","RequestPath":"/t","DownstreamStatus":204,"Duration":2500000,"DownstreamContentSize":0}"#,
    );
    assert_eq!(
        (traefik.ts_ms, traefik.method.as_str(), traefik.latency_ms),
        (1_795_419_803_500, "PUT", Some(2.5))
    );
    let envoy = read(
        r#"{"start_time":"2026-11-23T07:43:23.120Z","method":"GET","path":"/e","response_code":200,"duration":15,"bytes_sent":9,"bytes_received":0}"#,
    );
    assert_eq!(
        (envoy.ts_ms, envoy.latency_ms, envoy.bytes_out),
        (1_795_419_803_120, Some(15.0), Some(9))
    );
}

#[test]
fn lines_that_are_no_requests_say_why() {
    for (line, reason) in [
        ("", "no moment"),
        ("hello world", "no moment"),
        (
            r#"h - - [23/Nov/26 07:43] "GET / HTTP/1.1" 200 1"#,
            "is no moment such as",
        ),
        (
            r#"h - - [23/Nov/2026:07:43:23 +0000] "\x16\x03\x01" 400 150"#,
            "is no request",
        ),
        (
            r#"h - - [23/Nov/2026:07:43:23 +0000] "CONNECT x:443 HTTP/1.1" 200 1"#,
            "is no path",
        ),
        (
            r#"h - - [23/Nov/2026:07:43:23 +0000] "GET / HTTP/1.1" x 1"#,
            "is no status",
        ),
        ("{\"time\":1", "no JSON"),
        ("{}", "no request"),
        ("{\"request\":\"GET / HTTP/1.1\"}", "no moment"),
        (
            "{\"request\":\"GET / HTTP/1.1\",\"time\":\"today\"}",
            "`\"today\"` is no moment",
        ),
    ] {
        let found = read_line(line, None).unwrap_err();
        assert!(found.contains(reason), "{line}: {found}");
    }
    assert!(read_line("{}", Some(LogFormat::Common)).is_err());
}

proptest::proptest! {
    #[test]
    fn any_line_is_read_or_refused(line in "\\PC{0,200}|\\{.{0,200}\\}|.* \\[.*\\] \".*\" [0-9 -]*") {
        for format in [None, Some(LogFormat::Common), Some(LogFormat::Json)] {
            if let Ok(entry) = read_line(&line, format) {
                proptest::prop_assert!(entry.path.starts_with('/'));
            }
        }
    }
}
