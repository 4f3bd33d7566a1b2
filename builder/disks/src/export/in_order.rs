//! Many pieces encoded on all cores, taken in order by one: what every compressed format is written with.

use model::Result;
use rayon::prelude::*;

/// Encodes `pieces` in windows of `window`; while one window is encoded, the results of the one before it are given to `take`, in order.
/// So memory holds two windows, and what `take` sees does not depend on the number of threads. `state` is made once a thread and window.
pub(super) fn in_order<P: Sync, S, T: Send>(
    pieces: &[P],
    window: usize,
    state: impl Fn() -> Result<S> + Sync,
    encode: impl Fn(&mut S, &P) -> Result<T> + Sync,
    mut take: impl FnMut(T) -> Result<()> + Send,
) -> Result<()> {
    let mut ready: Vec<T> = Vec::new();
    for window in pieces.chunks(window) {
        let before = std::mem::take(&mut ready);
        let encode_window = || {
            let with_state = |s: &mut Result<S>, piece: &P| match s {
                Ok(s) => encode(s, piece),
                Err(_) => encode(&mut state()?, piece),
            };
            window.par_iter().with_max_len(8).map_init(&state, with_state).collect::<Result<Vec<T>>>()
        };
        let (next, taken) = rayon::join(encode_window, || before.into_iter().try_for_each(&mut take));
        taken?;
        ready = next?;
    }
    ready.into_iter().try_for_each(take)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Error;

    #[test]
    fn results_come_in_order_and_the_first_error_ends_it() {
        let pieces: Vec<u32> = (0..1000).collect();
        let mut seen = Vec::new();
        let mut keep = |n| {
            seen.push(n);
            Ok(())
        };
        in_order(&pieces, 64, || Ok(0u32), |_, &n| Ok(n * 2), &mut keep).unwrap();
        assert!(seen.iter().copied().eq((0..1000).map(|n| n * 2)));
        let mut seen = 0;
        let encode = |(): &mut (), &n: &u32| if n == 500 { Err(Error::internal("piece 500")) } else { Ok(n) };
        let take = |_| {
            seen += 1;
            Ok(())
        };
        assert_eq!(in_order(&pieces, 64, || Ok(()), encode, take).unwrap_err().to_string(), "piece 500");
        assert!((384..=500).contains(&seen), "{seen}");
    }
}
