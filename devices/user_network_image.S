/* The program user_network.c as the linker left it: IMAGE is its path. */

	.section .rodata
	.balign 16
	.globl user_network_image, user_network_image_end
	.hidden user_network_image, user_network_image_end
user_network_image:
	.incbin IMAGE
user_network_image_end:

	.section .note.GNU-stack, "", %progbits
