//! Kubernetes quantities (`500m`, `1.5`, `2Gi`, `1e3`) in thousandths of a unit.

/// A text that is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a quantity: write a number with an optional suffix, such as 500m, 2, 1.5, 64Mi or 2Gi"
)]
pub struct BadQuantity(pub String);

/// Parses a quantity into thousandths of a unit, rounded up as Kubernetes does.
///
/// # Errors
/// [`BadQuantity`] for anything that Kubernetes would refuse, negative numbers, and numbers
/// beyond 64 bits of thousandths.
pub fn parse_thousandths(text: &str) -> Result<u64, BadQuantity> {
    let bad = || BadQuantity(text.to_owned());
    let digits_end =
        text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '+')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits_end);
    let number = number.strip_prefix('+').unwrap_or(number);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty()
        || whole.contains('+')
        || fraction.contains(['+', '.'])
    {
        return Err(bad());
    }
    let (numerator, exponent_of_ten) = match suffix {
        "" => (1u128, 0i32),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        _ => match suffix.strip_prefix(['e', 'E']).and_then(|e| e.parse::<i32>().ok()) {
            Some(exponent) if (-30..=18).contains(&exponent) => (1, exponent),
            _ => return Err(bad()),
        },
    };
    let digits: String = [whole, fraction].concat();
    if digits.len() > 30 {
        return Err(bad());
    }
    let digits: u128 = digits.parse().map_err(|_| bad())?;
    let scaled = digits.checked_mul(numerator).ok_or_else(bad)?;
    let exponent = exponent_of_ten - i32::try_from(fraction.len()).map_err(|_| bad())? + 3;
    let power = 10u128.checked_pow(exponent.unsigned_abs()).ok_or_else(bad)?;
    let thousandths = if exponent >= 0 {
        scaled.checked_mul(power).ok_or_else(bad)?
    } else {
        scaled.div_ceil(power)
    };
    u64::try_from(thousandths).map_err(|_| bad())
}

/// Parses a quantity into whole units (bytes), rounded up.
///
/// # Errors
/// As [`parse_thousandths`].
pub fn parse_units(text: &str) -> Result<u64, BadQuantity> {
    parse_thousandths(text).map(|thousandths| thousandths.div_ceil(1000))
}

/// Bytes for people: `1.5 GiB`.
#[must_use]
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_as_kubernetes_reads_them() {
        for (text, thousandths) in [
            ("0", 0),
            ("1", 1000),
            ("500m", 500),
            ("1.5", 1500),
            (".5", 500),
            ("2Ki", 2_048_000),
            ("1Gi", 1_073_741_824_000),
            ("1e3", 1_000_000),
            ("1n", 1),
            ("100u", 1),
            ("+3", 3000),
        ] {
            assert_eq!(parse_thousandths(text), Ok(thousandths), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "m", "1 Gi", "-1", "1gi", "1.2.3", "abc", "1e99", "1+2", "1E"] {
            assert!(parse_thousandths(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_read_well() {
        assert_eq!(human_bytes(12), "12 B");
        assert_eq!(human_bytes(1536), "1.5 KiB");
        assert_eq!(human_bytes(3 << 30), "3.0 GiB");
    }
}
