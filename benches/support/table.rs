//! Several servers side by side.
#![allow(dead_code, reason = "each bench uses a part")]

/// What is measured, and how.
pub struct Measure {
    pub what: &'static str,
    pub unit: &'static str,
    /// The better of two results.
    pub better: fn(f64, f64) -> f64,
    pub rounds: usize,
}

impl Measure {
    /// Measures each server in each round, and prints the best of each and how the
    /// first compares with it. Rounds take turns, so that a drifting machine drifts
    /// for all; the best counts, because noise only makes things worse.
    pub fn print<S>(&self, servers: &[(&str, S)], mut measure: impl FnMut(&S) -> Option<f64>) {
        let mut best: Vec<Option<f64>> = vec![None; servers.len()];
        for _ in 0..self.rounds {
            for ((_, server), best) in servers.iter().zip(&mut best) {
                let value = measure(server);
                *best = match (*best, value) {
                    (Some(best), Some(value)) => Some((self.better)(best, value)),
                    (best, value) => best.or(value),
                };
            }
        }
        print!("{:<28}", self.what);
        for (at, ((name, _), value)) in servers.iter().zip(&best).enumerate() {
            let Some(value) = value else { continue };
            print!("  {name} {value:.1} {}", self.unit);
            if let (Some(ours), true) = (best[0], at > 0) {
                print!(" (ours is {:.3} of it)", ours / value);
            }
        }
        println!();
    }
}

/// The median of so many measurements, so that a scheduler's hiccup does not
/// count.
pub fn median(count: usize, mut measure: impl FnMut() -> f64) -> f64 {
    let mut values: Vec<f64> = (0..count).map(|_| measure()).collect();
    values.sort_by(f64::total_cmp);
    values[count / 2]
}
