"""What the papers' complexity columns count, and where they cannot be matched."""

from __future__ import annotations

NOTES = {
    "magic_table5": (
        "As fvcore counts, without the mixing of kernels: 2 operations a value for batch norm and 4 for bilinear "
        "resizing besides the multiply-adds. All rows then lie within 0.1 % of the printed GFLOPs, except "
        "ODConv and DDConv, which come near with their mixing (9.719 and 10.159: -0.05 and +0.19 %). The paper does "
        "not name its counter.",
        "DYConv and CondConv have the printed parameters with a bias for each kernel (45.59, 89.29); here, as every "
        "convolution in ResNet, they have none.",
        "DCD is the published operator; no published variant has the printed parameters.",
    ),
    "magic_table6": (
        "UNet, as thop counts: a transposed convolution at the resolution of its output (four times too often), four "
        "operations for each value of a batch norm, dynamic convolutions as plain ones and their attention branches, "
        "no kernel mixing. So counted, the plain UNet has the 54.675 that the paper prints for A.1.",
        "TransUNet, as fvcore counts: 5 operations a value for group and layer norm, 2 for batch norm, 4 for bilinear "
        "resizing besides the multiply-adds; no kernel mixing. So counted, the plain TransUNet with one logit has "
        "38.526 (38.601 with 9 classes). No counter is known that gives the 38.517 of A.1.",
        "The paper names neither counter, and no one counter gives both columns.",
        "Means and maxima are no multiply-adds, so the branches SP and CH cost next to nothing here; of the paper's "
        "0.040 and 0.010 for NL 0.027 and 0.008 are found.",
    ),
    "sgdc_table2": (
        "The paper names no counter; here all rows are multiply-adds, for three channels and one logit.",
        "SGD-Net: its network is unpublished; this is a reconstruction: 74.002 M, in SGDC's released form 74.006 M. "
        "The missing 1.87 M are unexplained; CTO's edge attention, left in unused, has 1.870 M. The published SGE "
        "convolves with a dense Sobel kernel, 4.907 G; here the channels are summed first. With it, SGD-Net takes "
        "36.175 G; ptflops 0.7.5, functional operations included, gives 36.234 for the same reconstruction.",
        "CTO: 2.443 M of the printed parameters are modules that the published code never calls: a classifier of "
        "2,049,000, a Fourier filter of 198,144, a fourth decoder module of 185,605 and 10,197 others; without them it "
        "has 59.774 M. ptflops, modules only, gives 22.697 for the published code: it does not see the matrix products "
        "of the attention (0.223 G) and counts batch norms.",
        "U-Net cannot be matched: this is the U-Net of the other tables. With half its width "
        "(backbone.network.width=32) it has 7.766 M parameters and 12.071 G, or 13.746 as thop counts.",
        "TransUNet cannot be matched: the published network, R50-ViT-B_16, is counted here.",
        "LeViT cannot be matched: the largest published LeViT-UNet (384) is counted here, at 256 x 256; at the "
        "224 x 224 that it was published for it takes 25.491 G.",
    ),
}
"""By table; tests/reports/test_complexity_tables.py counts the numbers."""
