//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// Polls until `look` gives a value, and returns it with the time it took. `look` says what it
/// sees instead by an error, the last of which is told when the time is over.
pub async fn until<T, F>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> F,
) -> Result<(T, Duration)>
where
    F: Future<Output = Result<T>>,
{
    let start = Instant::now();
    loop {
        match look().await {
            Ok(value) => return Ok((value, start.elapsed())),
            Err(seen) if start.elapsed() > limit => {
                let seconds = limit.as_secs_f64();
                return Err(anyhow!("not so after {seconds} s: {what}; instead: {seen:#}"));
            }
            Err(_) => tokio::time::sleep(pause(start.elapsed())).await,
        }
    }
}

/// The pause before the next look: a tenth of what was waited so far, since a look may cost as
/// much as starting kubectl.
fn pause(waited: Duration) -> Duration {
    (waited / 10).clamp(Duration::from_millis(20), Duration::from_millis(500))
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[tokio::test]
    async fn the_last_view_is_told_when_the_time_is_over() {
        let mut count = 0;
        let look = || {
            count += 1;
            async move { if count < 3 { bail!("{count}") } else { Ok(count) } }
        };
        let (seen, _) = until("three", Duration::from_secs(5), look).await.unwrap();
        assert_eq!(seen, 3);
        let never = || async { Err::<(), _>(anyhow!("two pods")) };
        let error = until("three pods", Duration::ZERO, never).await.unwrap_err().to_string();
        assert!(error.contains("three pods") && error.contains("two pods"), "{error}");
    }
}
