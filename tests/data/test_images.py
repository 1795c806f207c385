"""Image files: every pixel type is read as documented or refused with its reason; damage is a clear error."""

import contextlib
import warnings

import numpy as np
import pytest
from PIL import Image

from magicseg.data.sources.images import binary_label, is_grey, read_binary, read_grey, read_image, read_mask
from magicseg.errors import UserError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (6, 5, 3)).astype(np.uint8)
GREY = COLOUR[..., 0]
EXACT = ["png", "bmp", "tif"]


@pytest.fixture
def save(tmp_path):
    """Return a function that writes an array or a Pillow image and returns its path."""

    def write(content, name="a.png", **options):
        image = content if isinstance(content, Image.Image) else Image.fromarray(content)
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return write


def palette(indices, colours):
    image = Image.fromarray(indices).convert("P")
    image.putpalette([value for colour in colours for value in colour])
    return image


@pytest.mark.parametrize("suffix", EXACT)
def test_colour_grey_and_masks_are_read_exactly(save, suffix):
    colour, grey, bits = save(COLOUR, f"c.{suffix}"), save(GREY, f"g.{suffix}"), save(GREY > 127, f"b.{suffix}")
    np.testing.assert_array_equal(read_image(colour), COLOUR)
    np.testing.assert_array_equal(read_image(grey), np.dstack([GREY] * 3))
    np.testing.assert_array_equal(read_image(bits)[..., 1], np.where(GREY > 127, 255, 0))
    np.testing.assert_array_equal(read_grey(grey), GREY)
    np.testing.assert_array_equal(read_mask(grey), GREY)
    np.testing.assert_array_equal(read_mask(bits), GREY > 127)
    assert read_mask(bits).dtype == np.uint8
    assert [is_grey(path) for path in (colour, grey, bits)] == [False, True, True]


def test_jpeg_is_near(save):
    smooth = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    assert np.abs(read_image(save(smooth, "a.JPG")).astype(int) - smooth).max() <= 3


def test_colour_as_grey_is_luma(save):
    luma = COLOUR @ [0.299, 0.587, 0.114]
    assert np.abs(read_grey(save(COLOUR)) - luma).max() <= 1


def test_alpha_is_dropped_from_images(save):
    path = save(np.dstack([COLOUR, GREY]))
    np.testing.assert_array_equal(read_image(path), COLOUR)


def test_masks_with_equal_channels_are_read_and_others_refused(save):
    opaque, half = np.full_like(GREY, 255), np.full_like(GREY, 128)
    np.testing.assert_array_equal(read_mask(save(np.dstack([GREY] * 3))), GREY)
    np.testing.assert_array_equal(read_mask(save(np.dstack([GREY, GREY, GREY, opaque]))), GREY)
    np.testing.assert_array_equal(read_mask(save(Image.fromarray(GREY).convert("LA"))), GREY)
    with pytest.raises(UserError, match=r"a\.png: the mask's red, green and blue differ"):
        read_mask(save(COLOUR))
    with pytest.raises(UserError, match="red, green and blue differ"):
        read_mask(save(np.dstack([COLOUR, opaque])))
    with pytest.raises(UserError, match="partly transparent"):
        read_mask(save(np.dstack([GREY, GREY, GREY, half])))


def test_palettes_of_colours_give_indices_and_of_greys_the_grey(save):
    classes, ink = GREY % 3, GREY % 2
    coloured = save(palette(classes, [(0, 0, 0), (255, 0, 0), (0, 255, 0)]), transparency=b"\x00\x80\xff")
    np.testing.assert_array_equal(read_mask(coloured), classes)
    np.testing.assert_array_equal(read_image(coloured)[..., 0], np.where(classes == 1, 255, 0))
    assert not is_grey(coloured)
    white_first = save(palette(ink, [(255, 255, 255), (0, 0, 0)]))
    np.testing.assert_array_equal(read_mask(white_first), np.where(ink == 0, 255, 0))
    all_black = save(palette(classes, [(0, 0, 0)] * 3), "black.png")
    np.testing.assert_array_equal(read_mask(all_black), classes)
    assert is_grey(white_first)


def test_reading_warns_of_nothing(save):
    path = save(palette(GREY % 3, [(0, 0, 0), (255, 0, 0), (0, 255, 0)]), transparency=b"\x00\x80\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(path)


@pytest.mark.parametrize("bits", [2, 4])
def test_small_greys_are_not_stretched_in_masks(tmp_path, bits):
    import struct
    import zlib

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 8 // bits, 1, bits, 0, 0, 0, 0)
    pixels = {2: (0b00011011, [0, 1, 2, 3]), 4: (0x1F, [1, 15])}[bits]
    data = zlib.compress(bytes([0, pixels[0]]))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    assert read_mask(path).tolist() == [pixels[1]]


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bits_are_masks_but_no_images(save, name):
    deep = GREY.astype(np.uint16) * 200
    path = save(deep, name)
    np.testing.assert_array_equal(read_mask(path), deep)
    with pytest.raises(UserError, match=rf"{name}: the image's pixels are I;16.*allowed are grey and RGB of 8 bits"):
        read_image(path)


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk_is_refused(save, name):
    path = save(Image.fromarray(COLOUR).convert("CMYK"), name)
    with pytest.raises(UserError, match="pixels are CMYK"):
        read_image(path)
    with pytest.raises(UserError, match="pixels are CMYK"):
        read_mask(path)


def test_fractions_are_no_mask(save):
    with pytest.raises(UserError, match="pixels are F;32F; allowed are whole numbers"):
        read_mask(save(GREY.astype(np.float32), "a.tif"))


def test_exif_orientation_is_applied(save):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    half = np.zeros((16, 32, 3), np.uint8)
    half[:8] = 255
    upright = read_image(save(half, "a.jpg", exif=exif))
    assert upright.shape == (32, 16, 3)
    assert upright[:, 12:].min() > 200
    assert upright[:, :4].max() < 50


def test_several_frames_are_refused(save):
    path = save(GREY, "a.tif", save_all=True, append_images=[Image.fromarray(GREY)])
    with pytest.raises(UserError, match="holds 2 frames"):
        read_image(path)


def test_one_pixel_is_an_image(save):
    path = save(GREY[:1, :1])
    assert read_image(path).shape == (1, 1, 3)
    assert read_mask(path).shape == (1, 1)


def test_bombs_are_refused_before_they_are_unpacked(save):
    path = save(Image.new("1", (10_000, 10_000)))
    with pytest.raises(UserError, match=r"a\.png is damaged, too large .*100000000 pixels"):
        read_image(path)


@pytest.mark.parametrize("suffix", [*EXACT, "jpg"])
def test_truncated_and_empty_files_are_refused(save, suffix):
    path = save(np.tile(COLOUR, (8, 8, 1)), f"a.{suffix}")
    content = path.read_bytes()
    for length in (0, 1, 20, len(content) // 2, len(content) - 40):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=rf"a\.{suffix} is damaged"):
            read_image(path)
        with pytest.raises(UserError, match=rf"a\.{suffix} is damaged"):
            read_mask(path)


@pytest.mark.parametrize("suffix", [*EXACT, "jpg"])
def test_flipped_bits_give_an_image_or_a_clear_error(save, suffix):
    path = save(np.tile(COLOUR, (4, 4, 1)), f"a.{suffix}")
    content, rng = path.read_bytes(), np.random.default_rng(1)
    for _ in range(60):
        changed = bytearray(content)
        changed[rng.integers(len(changed))] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        for read in (read_image, read_mask):
            with contextlib.suppress(UserError):  # anything else is a traceback for the user
                assert read(path).size


def test_other_formats_and_absent_files_are_refused(save, tmp_path):
    with pytest.raises(UserError, match=r"a\.gif is damaged, too large or no PNG, JPEG, BMP, TIFF file"):
        read_image(save(GREY, "a.gif"))
    with pytest.raises(UserError, match=r"none\.png .*No such file"):
        read_image(tmp_path / "none.png")


def test_binary_label():
    assert binary_label(np.array([[0, 1, 1]]), "m").tolist() == [[0, 1, 1]]
    assert binary_label(np.array([[0, 127, 128, 255]]), "m").tolist() == [[0, 0, 1, 1]]
    assert binary_label(np.array([[0, 0]]), "m").tolist() == [[0, 0]]
    for values in ([0, 2], [0, 127], [0, 256], [-1, 1]):
        with pytest.raises(UserError, match=rf"mask\.png: the mask ranges from {values[0]} to {values[1]}"):
            binary_label(np.array([values]), "mask.png")


def test_image_and_mask_of_different_size_are_refused(save):
    image, mask = save(COLOUR, "i.png"), save(GREY[:4], "m.png")
    with pytest.raises(UserError, match=r"i\.png is 5 x 6 pixels, its mask m\.png 5 x 4"):
        read_binary(image, mask)
