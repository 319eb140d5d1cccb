/// The text that Valkey 9 writes for a double: `3`, `0.1`, `1e+21`, `inf`, `-inf`, `nan`.
///
/// Whole numbers up to 2^62 are written as integers; every other number with the fewest digits that
/// give it back, in one of three shapes: whole with zeros, with a point, or with an exponent.
pub fn format_double(value: f64) -> String {
    const WHOLE: f64 = (1_u64 << 62) as f64;
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    if value.abs() <= WHOLE && value.trunc() == value {
        return (value as i64).to_string();
    }

    // `d.ddde±x`: the digits and the decimal exponent of the first.
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{}", shape(&digits, exponent))
}

/// Source: the shapes are those of `fpconv_dtoa`, which Valkey uses, found by comparing.
fn shape(digits: &str, exponent: i32) -> String {
    let count = digits.len() as i32;
    // Power of ten of the last digit.
    let last = exponent - count + 1;
    if last >= 0 && exponent < count + 7 {
        return format!("{digits}{}", "0".repeat(last as usize));
    }
    if last < 0 && (last > -7 || exponent.abs() < 4) {
        return if exponent < 0 {
            format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize))
        } else {
            let (whole, fraction) = digits.split_at(exponent as usize + 1);
            format!("{whole}.{fraction}")
        };
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    format!("{first}{point}{rest}e{exponent:+}")
}
