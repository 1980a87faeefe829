//! What repeated measuring gives: a median and a spread.

/// The figures of one thing, one a round, in the order of the rounds.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    pub fn all(&self) -> &[f64] {
        &self.0
    }

    /// Puts `self` and `other` together round by round, so that what the machine did meanwhile meets both sides.
    pub fn paired(&self, other: &Samples, with: impl Fn(f64, f64) -> f64) -> Samples {
        Samples(self.0.iter().zip(&other.0).map(|(one, other)| with(*one, *other)).collect())
    }

    /// How many times `other` this is, round by round.
    pub fn over(&self, other: &Samples) -> Samples {
        self.paired(other, |one, other| one / other)
    }

    /// How much more than `other` this is, round by round.
    pub fn minus(&self, other: &Samples) -> Samples {
        self.paired(other, |one, other| one - other)
    }

    /// Half of the figures are at most this.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// A quarter of the figures are below the first, a quarter above the second: the spread.
    pub fn quartiles(&self) -> (f64, f64) {
        (self.quantile(0.25), self.quantile(0.75))
    }

    /// Between two neighbours the value is interpolated.
    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
        let place = share * last as f64;
        let below = place.floor() as usize;
        let above = (below + 1).min(last);
        sorted[below] + (sorted[above] - sorted[below]) * place.fract()
    }
}
