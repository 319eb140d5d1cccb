//! Moments as conditions write them: the W3C profile of ISO 8601, or seconds since 1970.

use crate::number::Number;

const DAY: i64 = 86_400_000;

/// Milliseconds since 1970-01-01T00:00:00Z of `2026`, `2026-01`, `2026-01-02`,
/// `2026-01-02T03:04Z`, `2026-01-02T03:04:05.678+08:00` (a blank for `T`, as Tencent writes it,
/// and no zone, which is UTC), or of a number of seconds. `None` for anything else.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let year_like = bytes.len() == 4 || bytes.get(4) == Some(&b'-');
    if !year_like || !bytes.is_ascii() {
        return Number::parse(text)?.to_milli();
    }
    let digits = |from: usize, len: usize| -> Option<i64> {
        let part = bytes.get(from..from + len)?;
        part.iter().all(u8::is_ascii_digit).then_some(())?;
        std::str::from_utf8(part).ok()?.parse().ok()
    };
    let year = digits(0, 4)?;
    let (mut month, mut day) = (1, 1);
    let mut at = 4;
    if bytes.get(at) == Some(&b'-') {
        month = digits(at + 1, 2)?;
        at += 3;
        if bytes.get(at) == Some(&b'-') {
            day = digits(at + 1, 2)?;
            at += 3;
        }
    }
    let in_year = (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    if !in_year {
        return None;
    }
    let mut time = days_since_1970(year, month, day) * DAY;
    if at == bytes.len() {
        return Some(time);
    }
    if at != 10 || !matches!(bytes[at], b'T' | b't' | b' ') {
        return None;
    }
    let (hour, minute) = (digits(11, 2)?, digits(14, 2)?);
    let mut second = 0;
    if bytes[13] != b':' || hour > 23 || minute > 59 {
        return None;
    }
    at = 16;
    let mut milli = 0;
    if bytes.get(at) == Some(&b':') {
        second = digits(at + 1, 2)?;
        at += 3;
        if bytes.get(at) == Some(&b'.') {
            let len = bytes[at + 1..]
                .iter()
                .take_while(|b| b.is_ascii_digit())
                .count();
            if len == 0 {
                return None;
            }
            for place in 0..3 {
                let digit = bytes.get(at + 1 + place).filter(|_| place < len);
                milli = milli * 10 + digit.map_or(0, |digit| i64::from(digit - b'0'));
            }
            at += 1 + len;
        }
    }
    if second > 60 {
        return None; // 60: a leap second, which counts as the next second
    }
    time += ((hour * 60 + minute) * 60 + second) * 1000 + milli;
    match &bytes[at..] {
        b"" | b"Z" | b"z" => Some(time),
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let len = rest.len();
            let colon = usize::from(rest.get(2) == Some(&b':'));
            if len != 4 + colon {
                return None;
            }
            let (hours, minutes) = (digits(at + 1, 2)?, digits(at + 3 + colon, 2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = (hours * 60 + minutes) * 60_000;
            Some(if *sign == b'+' {
                time - offset
            } else {
                time + offset
            })
        }
        _ => None,
    }
}

/// A moment as `2026-01-02T03:04:05Z`, with thousandths where they are not zero.
pub(crate) fn format(time: i64) -> String {
    let (days, rest) = (time.div_euclid(DAY), time.rem_euclid(DAY));
    let (year, month, day) = date_of(days);
    let (second, milli) = (rest / 1000, rest % 1000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let milli = match milli {
        0 => String::new(),
        milli => format!(".{milli:03}"),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{milli}Z")
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the proleptic Gregorian calendar, counted in years that begin in March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days - era * 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (year + era * 400 + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read() {
        let day = 1_767_312_000_000; // 2026-01-02
        let moment = day + (3 * 3600 + 4 * 60 + 5) * 1000;
        let cases = [
            ("2026-01-02", Some(day)),
            ("2026-01", Some(day - DAY)),
            ("2026", Some(day - DAY)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1969-12-31", Some(-DAY)),
            ("2024-02-29", Some(1_709_164_800_000)),
            ("2026-01-02T03:04:05Z", Some(moment)),
            ("2026-01-02T03:04:05", Some(moment)),
            ("2026-01-02 03:04:05", Some(moment)),
            ("2026-01-02T03:04Z", Some(moment - 5000)),
            ("2026-01-02T03:04:05.5Z", Some(moment + 500)),
            ("2026-01-02T03:04:05.1239Z", Some(moment + 123)),
            ("2026-01-02T11:04:05+08:00", Some(moment)),
            ("2026-01-01T22:34:05-0430", Some(moment)),
            ("1767323045", Some(moment)),
            ("1767323045.25", Some(moment + 250)),
            ("0", Some(0)),
            ("-1", Some(-1000)),
            ("2026-13-01", None),
            ("2026-02-29", None),
            ("2026-1-2", None),
            ("2026-01-02T", None),
            ("2026-01-02T24:00:00Z", None),
            ("2026-01-02T03:04:05.Z", None),
            ("2026-01-02T03:04:05+8", None),
            ("2026-01T03:04:05Z", None),
            ("tomorrow", None),
            ("", None),
            ("2026-é1-02", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn written_and_read_again() {
        for time in (-900_000_000_000_000_i64..900_000_000_000_000).step_by(7_777_777_777_777) {
            if (0..=9999).contains(&date_of(time.div_euclid(DAY)).0) {
                assert_eq!(parse(&format(time)), Some(time), "{}", format(time));
            }
        }
        assert_eq!(format(1_767_323_045_000), "2026-01-02T03:04:05Z");
    }
}
