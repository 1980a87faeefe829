//! Where a crash is injected by tests: a debug build whose environment has `FWC_CRASH_AT=STEP` kills itself there, with `FWC_STOP_AT=STEP` it stops
//! there as if it hung. Release builds have none of it.

/// The steps, in the order in which an apply, a confirm and a rollback reach them.
pub const STEPS: &[&str] = &[
    "texts-half",
    "texts-written",
    "previous-written",
    "loading-half",
    "loading-written",
    "watchdog-starts",
    "watchdog-ready",
    "sized",
    "loaded",
    "verified",
    "remembered",
    "settled-half",
    "settled-written",
    "confirm-half",
    "confirm-written",
    "undo-half",
    "undo-written",
    "restored",
    "undone-half",
    "undone-written",
];

/// Dies here if a test said so.
pub fn point(step: &str) {
    #[cfg(debug_assertions)]
    {
        debug_assert!(STEPS.contains(&step) || step.is_empty(), "{step}");
        use nix::sys::signal::{Signal, kill};
        for (name, signal) in [("FWC_CRASH_AT", Signal::SIGKILL), ("FWC_STOP_AT", Signal::SIGSTOP)] {
            if !step.is_empty() && std::env::var_os(name).is_some_and(|wanted| wanted == step) {
                let _ = kill(nix::unistd::getpid(), signal);
            }
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = step;
}
