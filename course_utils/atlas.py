"""What is trained today: objectives of public models and scripts, each with where it stands.

``ATLAS["sana"].objective()`` is an ``Objective`` like those of ``PUBLISHED``; ``objectives()`` are
both. An entry holds the arguments of ``from_script`` as its source has them, and nothing else. What
a source leaves to its reader, such as a resolution, is said in ``kind``.
"""

from dataclasses import dataclass, replace

import numpy as np

from course_utils.objectives import BETAS, PUBLISHED, Objective, from_script
from course_utils.schedules import Cosine, alpha_bar
from course_utils.weightings import made_monotone


@dataclass(frozen=True)
class Trained:
    """An objective of a public model or script: ``script`` are the arguments of ``from_script``."""

    name: str
    year: int
    kind: str  # what of it this is: a released configuration, a script's default, an option of it
    source: str
    script: dict

    def objective(self) -> Objective:
        """Return it as an ``Objective``, on the λ of data of standard deviation 1."""
        return from_script(**self.script, name=self.name)


def objectives():
    """Return all by key, the published first, on the λ of data of standard deviation 1.

    EDM, whose data have ½, is moved by 2 ln ½.
    """
    edm = from_script(density="lognormal", prediction="F", data_sd=0.5, name="EDM")
    raised = replace(edm, name=PUBLISHED["edm_monotonic"].name, transform=made_monotone)
    unit = {"edm": edm, "edm_monotonic": raised}
    return PUBLISHED | unit | {key: entry.objective() for key, entry in ATLAS.items()}


def zero_terminal(bars):
    """Return ᾱ moved and stretched so that it ends at 0, with its first value (Lin et al. 2023)."""
    a = np.sqrt(bars)
    return ((a - a[-1]) * a[0] / (a[0] - a[-1])) ** 2


def snr_shifted(bars, shift):
    """Return ᾱ with the SNR divided by ``shift``: ᾱ/(s + (1 − s) ᾱ)."""
    return bars / (shift + (1 - shift) * bars)


def interpolated_cosine(size, low=32, high=256, smallest=1e-3, largest=1e3, n=1000):
    """Return σ at n even times of the cosine schedule that moves from ``low`` to ``high`` pixels.

    k-diffusion's "cosine-interpolated", for pictures of ``size`` pixels and data of standard
    deviation ½: λ(t) = (1 − t) λ_low + t λ_high with λ_d(t) = cosine(t) + 2 ln(d/size).
    """
    t, found = (np.arange(n) + 0.5) / n, 0
    for d, share in ((low, 1 - t), (high, t)):
        moved = 2 * np.log(d / size)
        # its time runs from noise to data, between the levels of the largest and smallest σ
        ends = [np.arctan(np.exp(moved / 2) * sd / 0.5) for sd in (largest, smallest)]
        found = found + share * (moved - 2 * np.log(np.tan(ends[0] + t * (ends[1] - ends[0]))))
    return np.sort(0.5 * np.exp(-found / 2))


def bell(sigma):
    """Return exp(−2 (σ − ½)²) − exp(−½)."""
    return np.exp(-2 * (sigma - 0.5) ** 2) - np.exp(-0.5)


def capped_inverse(snr):
    """Return 1/(1 + min(SNR, 5))."""
    return 1 / (1 + np.minimum(snr, 5))


_SD = ("scaled_linear", 0.00085, 0.012)
_SD_BARS = alpha_bar(BETAS["scaled_linear"]())
_CASCADE_T = (np.arange(1000) + 0.5) / 1000
_CASCADE_BARS = np.cos((0.008 + _CASCADE_T) / 1.008 * np.pi / 2) ** 2
_CASCADE_BARS = _CASCADE_BARS / np.cos(0.008 / 1.008 * np.pi / 2) ** 2
_CASCADE_BARS = _CASCADE_BARS[(_CASCADE_BARS > 1e-4) & (_CASCADE_BARS < 0.9999)]

ATLAS = {
    "sd15": Trained(
        "Stable Diffusion 1.5",
        2022,
        "released configuration",
        "CompVis/stable-diffusion configs/stable-diffusion/v1-inference.yaml",
        {"betas": _SD},
    ),
    "sd21_v": Trained(
        "Stable Diffusion 2.1, v",
        2022,
        "released configuration",
        "Stability-AI/stablediffusion configs/stable-diffusion/v2-inference-v.yaml",
        {"betas": _SD, "prediction": "v"},
    ),
    "sdxl": Trained(
        "SDXL base",
        2023,
        "released configuration",
        "Stability-AI/generative-models configs/inference/sd_xl_base.yaml",
        {"betas": _SD},
    ),
    "sdxl_min_snr": Trained(
        "SDXL, ε, Min-SNR-5",
        2023,
        "option --snr_gamma of the script",
        "huggingface/diffusers examples/text_to_image/train_text_to_image_sdxl.py",
        {"betas": _SD, "coefficient": ("min_snr", 5.0)},
    ),
    "sd_v_min_snr": Trained(
        "SDXL script, v, Min-SNR-5",
        2023,
        "option --snr_gamma of the script",
        "huggingface/diffusers examples/text_to_image/train_text_to_image_sdxl.py",
        {"betas": _SD, "prediction": "v", "coefficient": ("min_snr", 5.0)},
    ),
    "sd_debiased": Trained(
        "SD, debiased estimation",
        2023,
        "option of the script; Yu et al. 2023",
        "kohya-ss/sd-scripts library/custom_train_functions.py",
        {"betas": _SD, "coefficient": "debiased"},
    ),
    "sd_zero_snr": Trained(
        "SD, v, zero terminal SNR",
        2023,
        "Lin et al. 2023; rescale_betas_zero_snr",
        "huggingface/diffusers src/diffusers/schedulers/scheduling_ddim.py",
        {"alpha_bars": zero_terminal(_SD_BARS), "prediction": "v"},
    ),
    "sd3_diffusers": Trained(
        "SD3, diffusers' script",
        2024,
        "script's default: the loss is of x; shift 3 of the model",
        "huggingface/diffusers examples/dreambooth/train_dreambooth_sd3.py; "
        "kohya-ss/sd-scripts library/sd3_train_utils.py (shift)",
        {"density": ("logit_normal", 0.0, 1.0), "shift": 3.0, "prediction": "sample"},
    ),
    "flux_diffusers": Trained(
        "Flux.1-dev, diffusers' script",
        2024,
        "script's default: uniform; the dynamic shift is for sampling alone",
        "huggingface/diffusers examples/dreambooth/train_dreambooth_lora_flux.py",
        {"density": "uniform", "prediction": "flow"},
    ),
    "flux_kohya": Trained(
        "Flux.1-dev, flux_shift, 1024 px",
        2024,
        "options --timestep_sampling flux_shift --model_prediction_type raw",
        "kohya-ss/sd-scripts library/flux_train_utils.py",
        {"density": ("logit_normal", 0.0, 1.0), "shift": np.exp(1.15), "prediction": "flow"},
    ),
    "flux_kohya_default": Trained(
        "Flux.1-dev, sd-scripts' default",
        2024,
        "script's default: uniform, the loss is of x, shift 3",
        "kohya-ss/sd-scripts library/flux_train_utils.py",
        {"density": "uniform", "shift": 3.0, "prediction": "sample"},
    ),
    "edm2": Trained(
        "EDM2",
        2023,
        "default, without its learnt uncertainty",
        "NVlabs/edm2 training/training_loop.py",
        {"density": ("lognormal", -0.4, 1.0), "prediction": "F", "data_sd": 0.5},
    ),
    "hdit": Trained(
        "HDiT, 256 px",
        2024,
        "a configuration of the repository",
        "crowsonkb/k-diffusion configs/config_oxford_flowers_shifted_window.json",
        {
            "sigmas": interpolated_cosine(256),
            "prediction": "F",
            "data_sd": 0.5,
            "coefficient": ("soft_min_snr", 4.0),
        },
    ),
    "simple_diffusion": Trained(
        "simple diffusion, 256 px",
        2023,
        "a reader's code of Hoogeboom et al. 2023, with its weight",
        "faverogian/simpleDiffusion diffusion/simple_diffusion.py",
        {"schedule": Cosine(), "shift": 4.0, "coefficient": capped_inverse},
    ),
    "dit": Trained(
        "DiT",
        2022,
        "default",
        "facebookresearch/DiT diffusion/__init__.py",
        {"betas": "linear"},
    ),
    "pixart": Trained(
        "PixArt-α",
        2023,
        "default",
        "PixArt-alpha/PixArt-alpha diffusion/iddpm.py",
        {"betas": "linear"},
    ),
    "mar": Trained(
        "MAR, loss of a token",
        2024,
        "default",
        "LTH14/mar models/diffloss.py",
        {"betas": "squaredcos_cap_v2"},
    ),
    "deepfloyd_if": Trained(
        "DeepFloyd IF, stage I",
        2023,
        "released scheduler",
        "huggingface/diffusers scripts/convert_if.py",
        {"betas": "squaredcos_cap_v2"},
    ),
    "kandinsky21": Trained(
        "Kandinsky 2.1, decoder",
        2023,
        "released configuration",
        "ai-forever/Kandinsky-2 kandinsky2/configs.py",
        {"betas": ("linear", 0.00085, 0.012)},
    ),
    "stable_cascade": Trained(
        "Stable Cascade, stage C, 1B",
        2024,
        "training configuration, P2",
        "Stability-AI/StableCascade train/train_c.py, configs/training/finetune_c_1b.yaml",
        {"alpha_bars": _CASCADE_BARS, "coefficient": ("p2", 1.0, 1.0)},
    ),
    "sana": Trained(
        "Sana, 1024 px",
        2024,
        "training configuration",
        "NVlabs/Sana configs/sana_config/1024ms/Sana_1600M_img1024.yaml",
        {"density": ("logit_normal", 0.0, 1.0), "shift": 3.0, "prediction": "flow"},
    ),
    "lumina2": Trained(
        "Lumina-Image 2.0, 1024 px",
        2025,
        "training script",
        "Alpha-VLLM/Lumina-Image-2.0 scripts/run_1024_finetune.sh, transport/transport.py",
        {"density": ("logit_normal", 0.0, 1.0), "shift": np.exp(1.15), "prediction": "flow"},
    ),
    "hunyuan_dit": Trained(
        "HunyuanDiT",
        2024,
        "training script",
        "Tencent-Hunyuan/HunyuanDiT hydit/train.sh",
        {"betas": ("scaled_linear", 0.00085, 0.018), "prediction": "v"},
    ),
    "cogvideox_2b": Trained(
        "CogVideoX-2B",
        2024,
        "script's default; SNR shift 3, zero terminal SNR",
        "huggingface/diffusers examples/cogvideo/train_cogvideox_lora.py, "
        "scripts/convert_cogvideox_to_diffusers.py",
        {"alpha_bars": zero_terminal(snr_shifted(_SD_BARS, 3.0)), "prediction": "v"},
    ),
    "wan": Trained(
        "Wan 2.1, DiffSynth",
        2025,
        "default: shift 5 and a bell over σ",
        "modelscope/DiffSynth-Studio diffsynth/diffusion/flow_match.py",
        {"density": "uniform", "shift": 5.0, "prediction": "flow", "coefficient": bell},
    ),
    "ltx": Trained(
        "LTX-Video, 4096 tokens",
        2025,
        "trainer's default; the mean grows with the tokens",
        "Lightricks/LTX-Video-Trainer src/ltxv_trainer/timestep_samplers.py",
        {"density": ("logit_normal", 2.05, 1.0), "prediction": "flow"},
    ),
    "svd": Trained(
        "Stable Video Diffusion",
        2023,
        "as a public trainer has it",
        "pixeli99/SVD_Xtend train_svd.py",
        {"density": ("lognormal", 0.7, 1.6), "prediction": "F"},
    ),
    "stable_audio": Trained(
        "Stable Audio 2",
        2024,
        "default of its trainer: v, uniform t",
        "Stability-AI/stable-audio-tools stable_audio_tools/training/diffusion.py",
        {"schedule": Cosine(), "prediction": "v"},
    ),
    "audioldm": Trained(
        "AudioLDM",
        2023,
        "training configuration",
        "haoheliu/AudioLDM-training-finetuning "
        "audioldm_train/config/2023_08_23_reproduce_audioldm/audioldm_original.yaml",
        {"betas": ("scaled_linear", 0.0015, 0.0195)},
    ),
    "f5_tts": Trained(
        "F5-TTS",
        2024,
        "default",
        "SWivid/F5-TTS src/f5_tts/model/cfm.py",
        {"density": "uniform", "prediction": "flow"},
    ),
}
