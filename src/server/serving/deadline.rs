//! The time that a client gives a call: when it is over, the handler ends, so that nothing is done for somebody who has gone.

use std::{convert::Infallible, future::Future, time::Duration};

use http::{HeaderMap, Request, Response};
use tokio::time::timeout;
use tonic::{Status, body::Body};

/// The header's name, of gRPC over HTTP/2.
const TIMEOUT: &str = "grpc-timeout";
/// So many digits a time may have.
const DIGITS_MAX: usize = 8;

/// A request's time, taken before it is given away.
pub fn time(request: &Request<Body>) -> Option<Duration> {
    parse(request.headers())
}

/// Answers in time, or says that there was none left. What can't be read is no limit.
pub async fn within(
    time: Option<Duration>,
    answer: impl Future<Output = Result<Response<Body>, Infallible>>,
) -> Result<Response<Body>, Infallible> {
    let Some(time) = time else { return answer.await };
    match timeout(time, answer).await {
        Ok(answer) => answer,
        Err(_) => Ok(Status::cancelled("Timeout expired").into_http()),
    }
}

fn parse(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > DIGITS_MAX || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(TIMEOUT, text.parse().unwrap());
        parse(&headers)
    }

    #[test]
    fn a_time_is_a_number_and_its_unit() {
        assert_eq!(of("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(of("3M"), Some(Duration::from_secs(180)));
        assert_eq!(of("99999999S"), Some(Duration::from_secs(99_999_999)));
        assert_eq!(of("5m"), Some(Duration::from_millis(5)));
        assert_eq!(of("6u"), Some(Duration::from_micros(6)));
        assert_eq!(of("7n"), Some(Duration::from_nanos(7)));
        assert_eq!(parse(&HeaderMap::new()), None);
    }

    #[test]
    fn what_is_no_time_is_no_limit() {
        for text in ["", "5", "m", "-5m", "5.5m", "5 m", "5x", "123456789S", "+5m"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_ends_with_its_time() {
        let never = std::future::pending();
        let answer = within(Some(Duration::from_secs(5)), never).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "1");
        let whole = std::future::ready(Ok(Response::new(Body::empty())));
        assert!(within(Some(Duration::ZERO), whole).await.unwrap().headers().is_empty());
    }
}
