//! The paper's figures 4a and 4b.

/// A figure as read off the paper's plot.
///
/// ```
/// use probity_game::protocol::PUBLISHED;
///
/// let deontological = PUBLISHED.iter().find(|row| row.name == "deontological").unwrap().deontological[0];
/// assert_eq!((deontological.mean, deontological.half_width), (0.16, Some(0.25)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// The mean over five seeds.
    pub mean: f64,
    /// Half the width of its 95% interval, where the plot shows it.
    pub half_width: Option<f64>,
}

/// One of the paper's models.
///
/// ```
/// use probity_game::protocol::PUBLISHED;
///
/// let game = PUBLISHED.iter().find(|row| row.name == "game").unwrap();
/// assert_eq!(game.deontological[0].mean, 1.76);
/// ```
#[derive(Debug)]
pub struct Published {
    /// The name of our adapter that is trained on the same rewards.
    ///
    /// `bare` is the model without fine-tuning.
    pub name: &'static str,
    /// Deontological regret in `ipd ish icn bos icd`: figure 4a, read to 0.02.
    pub deontological: [Figure; 5],
    /// Utilitarian regret in the same games: figure 4b, read to 0.005.
    pub utilitarian: [Figure; 5],
}

/// Means, and half widths where 0 is none.
const fn figures(means: [f64; 5], half_widths: [f64; 5]) -> [Figure; 5] {
    let mut all = [Figure { mean: 0.0, half_width: None }; 5];
    let mut i = 0;
    while i < 5 {
        let half_width = if half_widths[i] > 0.0 { Some(half_widths[i]) } else { None };
        all[i] = Figure { mean: means[i], half_width };
        i += 1;
    }
    all
}

const UNREAD: [f64; 5] = [0.0; 5];

/// The paper's models, trained against tit-for-tat and tested on new labels.
///
/// Source: arXiv 2410.01639, figure 4, Gemma-2-2b-it.
pub static PUBLISHED: &[Published] = &[
    Published {
        name: "bare",
        deontological: figures([5.86, 5.86, 5.75, 5.86, 5.85], UNREAD),
        utilitarian: figures([0.977, 0.979, 0.964, 0.983, 0.986], UNREAD),
    },
    Published {
        name: "game",
        deontological: figures([1.76, 1.70, 1.70, 1.69, 1.70], [0.13, 0.18, 0.18, 0.15, 0.13]),
        utilitarian: figures([0.252, 0.384, 0.240, 0.190, 0.252], UNREAD),
    },
    Published {
        name: "deontological",
        deontological: figures([0.16, 0.16, 0.16, 0.13, 0.14], [0.25; 5]),
        utilitarian: figures([0.144, 0.264, 0.098, 0.246, 0.425], [0.03, 0.04, 0.04, 0.015, 0.05]),
    },
    Published {
        name: "utilitarian",
        deontological: figures([0.09, 0.04, 0.05, 0.04, 0.04], [0.2, 0.15, 0.15, 0.15, 0.15]),
        // The plot's legend hides the last bar: it ends between 0.475 and 0.53.
        utilitarian: figures([0.098, 0.208, 0.036, 0.261, 0.5], [0.01, 0.01, 0.01, 0.0, 0.0]),
    },
    Published {
        name: "game+deontological",
        deontological: figures([0.43, 0.47, 0.46, 0.29, 0.20], [0.47, 0.45, 0.45, 0.23, 0.25]),
        utilitarian: figures([0.193, 0.326, 0.166, 0.237, 0.383], [0.025, 0.03, 0.03, 0.0, 0.0]),
    },
    Published {
        name: "game-then-deontological",
        deontological: figures([0.42, 0.51, 0.49, 0.42, 0.45], [0.6, 0.6, 0.55, 0.6, 0.6]),
        utilitarian: figures([0.153, 0.282, 0.132, 0.233, 0.412], [0.055, 0.06, 0.06, 0.02, 0.09]),
    },
    Published {
        name: "game-then-utilitarian",
        deontological: figures([1.00, 0.95, 1.03, 0.95, 0.99], [0.45, 0.48, 0.42, 0.45, 0.5]),
        utilitarian: figures([0.187, 0.301, 0.169, 0.224, 0.366], [0.035, 0.04, 0.045, 0.035, 0.075]),
    },
];
