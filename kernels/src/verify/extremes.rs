//! Checks with numbers at the ends of the range: NaN, infinities, denormals.
//!
//! A kernel need not be accurate there, but it must not be silently wrong: a NaN that a maximum swallows hides the bug that made
//! it, an infinity that becomes a finite number hides an overflow, and a kernel that flushes denormals to zero turns small
//! gradients into none.

use super::case::{self, Case};
use super::checks::Report;
use super::place::Kind;
use super::run::{Expected, outputs, reference};
use crate::element::DType;
use crate::philox;

/// Magnitude at which f32 and bf16 numbers are denormal: their smallest normal is 1.2e-38.
const DENORMAL: f64 = 1e-39;

impl Report<'_> {
    /// `nan`: one NaN in one input makes NaN of the same outputs as in the definition, and of no others. `infinity`: what one
    /// infinity makes infinite or NaN there is not finite here, and has no other sign. Here it may be NaN: a formula that is
    /// rearranged meets 0·∞ and ∞ − ∞ in other places, and NaN says so.
    pub fn extremes(&mut self, case: &Case, expected: &Expected) {
        for (i, arg) in self.sample.args.iter().enumerate() {
            if case.values[i].is_empty() || !case::is_float(arg) {
                continue;
            }
            for (check, value) in
                [("nan", f64::NAN), ("infinity", f64::INFINITY), ("infinity", f64::NEG_INFINITY)]
            {
                let mut case = case.clone();
                let at = philox::word(self.seed, 1 << 32, i as u64) as usize % case.values[i].len();
                case.values[i][at] = value;
                let detail = self.spreads_alike(&case, expected, value.is_nan()).err();
                let detail = detail.map(|what| format!("{value} in {}[{at}]: {what}", arg.name));
                self.say(check, Kind::Contiguous, None, detail.unwrap_or_default());
            }
        }
    }
    fn spreads_alike(&self, case: &Case, expected: &Expected, nan: bool) -> Result<(), String> {
        let want = reference(self.info, self.sample, case)?;
        let mut arguments = self.place(case, Kind::Contiguous).map_err(|e| e.to_string())?;
        let answer = self.call(&mut arguments, None);
        let want = match (want, answer) {
            (Ok(want), Ok(())) => want,
            (Err(_), Err(what)) if what.starts_with("refused") => return Ok(()), // both refuse such an input
            (Err(what), Ok(())) => return Err(what),
            (_, Err(what)) => return Err(what),
        };
        for (o, (i, arg)) in outputs(self.sample).enumerate() {
            let stored = case.dtypes[i];
            for (j, (&want, got)) in want[o].iter().zip(arguments.placed[i].values()).enumerate() {
                let want = stored.round(want);
                let alike = match stored {
                    DType::I32 => got == want,
                    _ if nan => got.is_nan() == want.is_nan(),
                    _ => tells(got, want),
                };
                if !alike && !expected.is_free(o, j) {
                    return Err(format!("{}[{j}] = {got:e}, expected {want:e}", arg.name));
                }
            }
        }
        Ok(())
    }

    /// `denormal`: results of numbers below the normal range are right, but for a few of the smallest steps there are; where
    /// results are larger than inputs (a division by an epsilon), so are the steps.
    pub fn denormals(&mut self) {
        let case = Case::draw(self.sample, DENORMAL, self.dtype, self.seed);
        let scale = std::mem::replace(&mut self.scale, DENORMAL);
        let found = Expected::new(self.info, self.sample, &case).and_then(|mut expected| {
            for (floor, y) in expected.floor.iter_mut().zip(&expected.outputs) {
                let largest = y.iter().filter(|v| v.is_finite()).fold(0.0f64, |m, v| m.max(v.abs()));
                *floor *= (largest / DENORMAL).max(1.0);
            }
            let mut after = self.place(&case, Kind::Contiguous).map_err(|e| e.to_string())?;
            self.call(&mut after, None)?;
            Ok(expected.worst(self.info, self.sample, &case, self.dtype, &after))
        });
        match found {
            Ok(Some(worst)) if worst.ratio() > 1.0 => {
                self.say("denormal", Kind::Contiguous, Some(worst), worst.to_string())
            }
            Ok(worst) => self.say("denormal", Kind::Contiguous, worst, String::new()),
            Err(what) => self.say("denormal", Kind::Contiguous, None, what),
        }
        self.scale = scale;
    }
}

/// May `got` come out where the definition of an input with an infinity says `want`? NaN may always: it is loud. A finite number
/// only for a finite one, an infinity only for the same or for NaN.
pub fn tells(got: f64, want: f64) -> bool {
    got.is_nan() || got == want || got.is_finite() && want.is_finite() || want.is_nan() && !got.is_finite()
}
