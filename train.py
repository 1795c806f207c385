"""The one entry: ``python train.py dataset=acdc backbone=unet conv=magic_4x``."""

from magicseg.training.command import main

if __name__ == "__main__":
    main()
