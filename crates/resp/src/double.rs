/// The text that Valkey 9 writes for a double: `3`, `0.1`, `1e+23`, `inf`, `-inf`, `nan`.
///
/// Whole numbers up to 2^62 are written as integers. Every other number is written in one of three
/// shapes, whole with zeros, with a point, or with an exponent, and with digits that give it back:
/// nearly always the fewest, but where Valkey's algorithm misses them, so does this one.
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
    let (digits, power) = shortest(value.abs());
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{}", shape(&digits.to_string(), power))
}

/// Writes `digits` times ten to the `power`.
///
/// Source: the shapes are those of Valkey's `fpconv_dtoa`, held against a server.
fn shape(digits: &str, power: i32) -> String {
    let count = digits.len() as i32;
    // Of the first digit.
    let exponent = power + count - 1;
    if power >= 0 && exponent < count + 7 {
        return format!("{digits}{}", "0".repeat(power as usize));
    }
    if power < 0 && (power > -7 || exponent.abs() < 4) {
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

/// `significand` times two to the `exponent`.
#[derive(Clone, Copy)]
struct Binary {
    significand: u64,
    exponent: i32,
}

impl Binary {
    /// The same number with the highest bit set.
    fn normalised(self) -> Self {
        let zeros = self.significand.leading_zeros();
        Self {
            significand: self.significand << zeros,
            exponent: self.exponent - zeros as i32,
        }
    }

    /// The upper half of the product, rounded.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.significand) * u128::from(other.significand) + (1 << 63);
        Self {
            significand: (product >> 64) as u64,
            exponent: self.exponent + other.exponent + 64,
        }
    }
}

/// Digits of a positive finite number and the power of ten of the last one.
///
/// Source: the algorithm Grisu2 of Florian Loitsch, "Printing floating-point numbers quickly and
/// accurately with integers" (2010), which Valkey uses. It always finds digits that read back as the
/// number; in about 3 of 1,000 cases not the fewest.
fn shortest(value: f64) -> (u64, i32) {
    const HIDDEN: u64 = 1 << 52;
    let bits = value.to_bits();
    let (fraction, biased) = (bits & (HIDDEN - 1), (bits >> 52) as i32);
    let exact = if biased == 0 {
        Binary {
            significand: fraction,
            exponent: -1074,
        }
    } else {
        Binary {
            significand: fraction | HIDDEN,
            exponent: biased - 1075,
        }
    };
    // Halfway to the neighbours. The lower one is nearer where the exponent changes.
    let upper = Binary {
        significand: exact.significand * 2 + 1,
        exponent: exact.exponent - 1,
    };
    let upper = upper.normalised();
    let nearer = if exact.significand == HIDDEN { 2 } else { 1 };
    let lower = Binary {
        significand: (exact.significand << nearer) - 1,
        exponent: exact.exponent - nearer,
    };
    let lower = Binary {
        significand: lower.significand << (lower.exponent - upper.exponent),
        exponent: upper.exponent,
    };

    let (scale, scale_power) = power_of_ten(upper.exponent);
    let exact = exact.normalised().times(scale);
    // One unit inside, since the products are rounded.
    let upper = Binary {
        significand: upper.times(scale).significand - 1,
        ..exact
    };
    let lower = Binary {
        significand: lower.times(scale).significand + 1,
        ..exact
    };
    let (digits, power) = digits_between(exact, upper, lower);
    (digits, power - scale_power)
}

/// Digits of `upper`, as few as stay above `lower`, then moved towards `exact`.
fn digits_between(exact: Binary, upper: Binary, lower: Binary) -> (u64, i32) {
    let shift = -upper.exponent as u32;
    let one = 1_u64 << shift;
    let to_exact = upper.significand - exact.significand;
    let mut width = upper.significand - lower.significand;
    let mut whole = upper.significand >> shift;
    let mut fraction = upper.significand & (one - 1);

    let mut digits = 0_u64;
    let mut power = 9;
    let mut unit = 1_000_000_000_u64;
    while unit > 0 {
        digits = digits * 10 + whole / unit;
        whole %= unit;
        let rest = (whole << shift) + fraction;
        if rest <= width {
            return (nearer(digits, rest, width, unit << shift, to_exact), power);
        }
        unit /= 10;
        power -= 1;
    }
    let mut scale = 1_u64;
    loop {
        fraction *= 10;
        width *= 10;
        scale *= 10;
        digits = digits * 10 + (fraction >> shift);
        fraction &= one - 1;
        if fraction < width {
            let to_exact = to_exact.wrapping_mul(scale);
            return (nearer(digits, fraction, width, one, to_exact), power);
        }
        power -= 1;
    }
}

/// Lowers the last digit while that comes closer to the exact number and stays within the width.
/// `rest` is how far below the upper end the digits are, `step` what one of the last digit is.
fn nearer(mut digits: u64, mut rest: u64, width: u64, step: u64, to_exact: u64) -> u64 {
    while rest < to_exact
        && width - rest >= step
        && (rest + step < to_exact || to_exact - rest > rest + step - to_exact)
    {
        digits -= 1;
        rest += step;
    }
    digits
}

/// A power of ten that brings a number with this exponent into the range of [`digits_between`],
/// and its exponent.
fn power_of_ten(exponent: i32) -> (Binary, i32) {
    // The product's exponent shall be in -60..=-32. Where two powers do, Valkey takes the one that
    // this estimate finds first.
    let estimate = (f64::from(-(exponent + 87)) * std::f64::consts::LOG10_2) as i32;
    let mut index = (estimate - FIRST_POWER) / 8;
    loop {
        let power = FIRST_POWER + index * 8;
        // Floor of the binary logarithm: exact for all powers of the table.
        let scale = ((power * 217_706) >> 16) - 63;
        match exponent + scale + 64 {
            ..-60 => index += 1,
            -60..=-32 => {
                let significand = POWERS_OF_TEN[index as usize];
                return (
                    Binary {
                        significand,
                        exponent: scale,
                    },
                    power,
                );
            }
            _ => index -= 1,
        }
    }
}

const FIRST_POWER: i32 = -348;

/// Every eighth power of ten from 10^-348 to 10^340: the first 64 bits, rounded.
#[rustfmt::skip]
const POWERS_OF_TEN: [u64; 87] = [
    0xfa8f_d5a0_081c_0288, 0xbaae_e17f_a23e_bf76, 0x8b16_fb20_3055_ac76, 0xcf42_894a_5dce_35ea,
    0x9a6b_b0aa_5565_3b2d, 0xe61a_cf03_3d1a_45df, 0xab70_fe17_c79a_c6ca, 0xff77_b1fc_bebc_dc4f,
    0xbe56_91ef_416b_d60c, 0x8dd0_1fad_907f_fc3c, 0xd351_5c28_3155_9a83, 0x9d71_ac8f_ada6_c9b5,
    0xea9c_2277_23ee_8bcb, 0xaecc_4991_4078_536d, 0x823c_1279_5db6_ce57, 0xc210_9436_4dfb_5637,
    0x9096_ea6f_3848_984f, 0xd774_85cb_2582_3ac7, 0xa086_cfcd_97bf_97f4, 0xef34_0a98_172a_ace5,
    0xb238_67fb_2a35_b28e, 0x84c8_d4df_d2c6_3f3b, 0xc5dd_4427_1ad3_cdba, 0x936b_9fce_bb25_c996,
    0xdbac_6c24_7d62_a584, 0xa3ab_6658_0d5f_daf6, 0xf3e2_f893_dec3_f126, 0xb5b5_ada8_aaff_80b8,
    0x8762_5f05_6c7c_4a8b, 0xc9bc_ff60_34c1_3053, 0x964e_858c_91ba_2655, 0xdff9_7724_7029_7ebd,
    0xa6df_bd9f_b8e5_b88f, 0xf8a9_5fcf_8874_7d94, 0xb944_7093_8fa8_9bcf, 0x8a08_f0f8_bf0f_156b,
    0xcdb0_2555_6531_31b6, 0x993f_e2c6_d07b_7fac, 0xe45c_10c4_2a2b_3b06, 0xaa24_2499_6973_92d3,
    0xfd87_b5f2_8300_ca0e, 0xbce5_0864_9211_1aeb, 0x8cbc_cc09_6f50_88cc, 0xd1b7_1758_e219_652c,
    0x9c40_0000_0000_0000, 0xe8d4_a510_0000_0000, 0xad78_ebc5_ac62_0000, 0x813f_3978_f894_0984,
    0xc097_ce7b_c907_15b3, 0x8f7e_32ce_7bea_5c70, 0xd5d2_38a4_abe9_8068, 0x9f4f_2726_179a_2245,
    0xed63_a231_d4c4_fb27, 0xb0de_6538_8cc8_ada8, 0x83c7_088e_1aab_65db, 0xc45d_1df9_4271_1d9a,
    0x924d_692c_a61b_e758, 0xda01_ee64_1a70_8dea, 0xa26d_a399_9aef_774a, 0xf209_787b_b47d_6b85,
    0xb454_e4a1_79dd_1877, 0x865b_8692_5b9b_c5c2, 0xc835_53c5_c896_5d3d, 0x952a_b45c_fa97_a0b3,
    0xde46_9fbd_99a0_5fe3, 0xa59b_c234_db39_8c25, 0xf6c6_9a72_a398_9f5c, 0xb7dc_bf53_54e9_bece,
    0x88fc_f317_f222_41e2, 0xcc20_ce9b_d35c_78a5, 0x9816_5af3_7b21_53df, 0xe2a0_b5dc_971f_303a,
    0xa8d9_d153_5ce3_b396, 0xfb9b_7cd9_a4a7_443c, 0xbb76_4c4c_a7a4_4410, 0x8bab_8eef_b640_9c1a,
    0xd01f_ef10_a657_842c, 0x9b10_a4e5_e991_3129, 0xe710_9bfb_a19c_0c9d, 0xac28_20d9_623b_f429,
    0x8044_4b5e_7aa7_cf85, 0xbf21_e440_03ac_dd2d, 0x8e67_9c2f_5e44_ff8f, 0xd433_179d_9c8c_b841,
    0x9e19_db92_b4e3_1ba9, 0xeb96_bf6e_badf_77d9, 0xaf87_023b_9bf0_ee6b,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn doubles_are_written_as_valkey_writes_them() {
        // Each as a Valkey 9.1 server answered.
        let cases = [
            (3.0, "3"),
            (-3.0, "-3"),
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (-1.5, "-1.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1.0 / 3.0, "0.3333333333333333"),
            (2.0 / 3.0, "0.6666666666666666"),
            (std::f64::consts::PI, "3.141592653589793"),
            (1234.5678, "1234.5678"),
            (1e17, "100000000000000000"),
            (4611686018427387904.0, "4611686018427387904"),
            (1e19, "1e+19"),
            (1e21, "1e+21"),
            (1.5e20, "1.5e+20"),
            (1e100, "1e+100"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (2.2250738585072014e-308, "2.2250738585072014e-308"),
            (5e-324, "5e-324"),
            (1e-5, "0.00001"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-7, "1.5e-7"),
            (123456789.123, "123456789.123"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            // Not the fewest digits, as on the server.
            (6887.400000000001, "6887.4000000000005"),
            (3.5062e-10, "3.5061999999999997e-10"),
            (8.9251e20, "892510000000000100000"),
        ];
        for (value, expected) in cases {
            assert_eq!(format_double(value), expected, "{value:e}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn what_is_written_reads_back(value: f64, mantissa in -100_000_000_i64..100_000_000, exponent in -30..30) {
            let decimal: f64 = format!("{mantissa}e{exponent}").parse().unwrap();
            for value in [value, decimal] {
                let text = format_double(value);
                let back: f64 = text.parse().unwrap();
                prop_assert!(back.to_bits() == value.to_bits() || back.is_nan(), "{value:e} {text}");
            }
        }
    }
}
