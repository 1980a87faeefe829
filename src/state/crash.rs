//! Where a crash is injected by tests: a debug build whose environment has `FWC_CRASH_AT=STEP` kills itself there. Release builds have none of it.

/// The steps, in the order in which an apply, a confirm and a rollback reach them.
pub const STEPS: &[&str] = &[
    "texts-half",
    "texts-written",
    "previous-written",
    "loading-half",
    "loading-written",
    "watchdog-ready",
    "loaded",
    "verified",
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
        if !step.is_empty() && std::env::var_os("FWC_CRASH_AT").is_some_and(|wanted| wanted == step) {
            let _ = nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGKILL);
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = step;
}
